/** `@local:server` as in the Matrix specification, appendix "User identifiers"; 255 characters at most. */
const USER_ID = /^@[^:\s]+:[^\s/@]+$/;

export interface TypedIds {
  valid: string[];
  /** What is no Matrix id, to show it to the person. */
  invalid: string[];
}

/** Reads the ids that somebody typed or pasted: separated by spaces, commas, semicolons or lines, once each. */
export function parseMatrixIds(text: string): TypedIds {
  const words = new Set(text.split(/[\s,;]+/).filter((word) => word !== ''));
  const valid: string[] = [];
  const invalid: string[] = [];
  for (const word of words) (USER_ID.test(word) && word.length <= 255 ? valid : invalid).push(word);
  return { valid, invalid };
}

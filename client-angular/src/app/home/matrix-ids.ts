import { isUserId, withLowerServer } from '../../../../protocol/matrix-id.ts';

export interface TypedIds {
  valid: string[];
  /** What is no Matrix id, to show it to the person. */
  invalid: string[];
}

/** Reads the ids that somebody typed or pasted: separated by spaces, commas, semicolons or lines, once each. */
export function parseMatrixIds(text: string): TypedIds {
  const valid = new Set<string>();
  const invalid = new Set<string>();
  for (const word of text.split(/[\s,;]+/)) {
    if (word === '') continue;
    const userId = withLowerServer(word);
    if (isUserId(userId)) valid.add(userId);
    else invalid.add(word);
  }
  return { valid: [...valid], invalid: [...invalid] };
}

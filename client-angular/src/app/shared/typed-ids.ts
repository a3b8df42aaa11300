import { isUserId, withLowerServer } from '../../../../protocol/matrix-id.ts';

export interface TypedIds {
  valid: string[];
  /** What is no Matrix id, to show it to the person. */
  invalid: string[];
}

/** Characters that nobody sees and that come along when text is copied. */
const INVISIBLE = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]/g;
/** What a sentence or a mail puts around an id. */
const BEFORE = /^[<([{"'„“”‚‘’«»›‹]+/;
const AFTER = /[>)\]}"'„“”‚‘’«»›‹.!?…:]+$/;
/** Links to a person, as Matrix clients copy them. */
const PERSON_LINK = /^(?:https:\/\/matrix\.to\/#\/|matrix:u\/)(.+)$/i;

/**
 * Reads the ids that somebody typed or pasted: separated by spaces, commas, semicolons or lines, once each, without the
 * marks of the sentence around them, and with the server in lower case.
 */
export function parseMatrixIds(text: string): TypedIds {
  const words = text.replace(INVISIBLE, '').split(/[\s,;]+/);
  const ids = new Set(words.map(readWord).filter((word) => word !== ''));
  const valid: string[] = [];
  const invalid: string[] = [];
  for (const id of ids) (isUserId(id) ? valid : invalid).push(id);
  return { valid, invalid };
}

function readWord(word: string): string {
  const bare = word.replace(BEFORE, '');
  const id = fromLink(bare);
  if (isUserId(id)) return withLowerServer(id);
  const trimmed = fromLink(bare.replace(AFTER, ''));
  if (isUserId(trimmed)) return withLowerServer(trimmed);
  return bare.replace(AFTER, '');
}

function fromLink(text: string): string {
  const person = PERSON_LINK.exec(text)?.[1];
  if (person === undefined) return text;
  try {
    const id = decodeURIComponent(person);
    return id.startsWith('@') ? id : `@${id}`;
  } catch {
    return text;
  }
}

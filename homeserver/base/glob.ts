/**
 * Glob patterns with `*` and `?`. Patterns come from users and must not block the process: every comparison is counted.
 */

/** Longest text that is matched, in UTF-16 units. */
const MAX_TEXT = 20_000;
/** Longest pattern; longer ones match nothing. */
export const MAX_PATTERN = 255;
/** Comparisons counted for one native string search. */
const NATIVE = 16;

/** How many characters may still be compared for one user and event. When it is used up, nothing matches any more. */
export interface Budget {
  left: number;
}

/** Enough for a few hundred rules and a message of usual length. */
export function newBudget(): Budget {
  return { left: 200_000 };
}

/** Whether the pattern matches the whole text, ignoring case. */
export function matchesWhole(pattern: string, text: string, budget: Budget = newBudget()): boolean {
  return matches(pattern, text, false, budget);
}

/** Whether the pattern matches some words of the text, ignoring case. */
export function matchesWords(pattern: string, text: string, budget: Budget = newBudget()): boolean {
  return matches(pattern, text, true, budget);
}

function matches(given: string, all: string, words: boolean, budget: Budget): boolean {
  if (given.length > MAX_PATTERN) return false;
  const pattern = given.toLowerCase();
  const text = all.slice(0, MAX_TEXT).toLowerCase();
  budget.left -= Math.ceil(text.length / NATIVE);
  if (budget.left < 0) return false;
  if (!/[*?]/.test(pattern)) return words ? hasWords(pattern, text) : pattern === text;
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  const starts = (at: number): boolean => (words ? isEdge(text, at) : at === 0);
  const ends = (at: number): boolean => (words ? isEdge(text, at) : at === text.length);
  const found = new Finder(text, budget);
  if (last === undefined) return found.first(first, 0, (at) => starts(at) && ends(at + first.length)) !== undefined;
  // The first occurrence of each part is always best: the star before the next one covers what is in between.
  let at = found.first(first, 0, starts);
  for (const part of rest) at = at === undefined ? undefined : found.first(part, at, () => true);
  return at !== undefined && found.first(last, at, (begin) => ends(begin + last.length)) !== undefined;
}

class Finder {
  readonly #text: string;
  readonly #budget: Budget;

  constructor(text: string, budget: Budget) {
    this.#text = text;
    this.#budget = budget;
  }

  /** The end of the first occurrence of a part that starts at an index or later, at an allowed position. */
  first(part: string, from: number, fits: (at: number) => boolean): number | undefined {
    for (let at = from; at + part.length <= this.#text.length; at++) {
      if (--this.#budget.left < 0) return undefined;
      if (fits(at) && this.#isAt(part, at)) return at + part.length;
    }
    return undefined;
  }

  #isAt(part: string, at: number): boolean {
    for (let index = 0; index < part.length; index++) {
      if (--this.#budget.left < 0) return false;
      if (part[index] !== '?' && part[index] !== this.#text[at + index]) return false;
    }
    return true;
  }
}

/** Most patterns are just a word. */
function hasWords(pattern: string, text: string): boolean {
  for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) {
    if (isEdge(text, at) && isEdge(text, at + pattern.length)) return true;
    if (at === text.length) return false;
  }
  return false;
}

/** Whether an index is a word boundary. */
function isEdge(text: string, at: number): boolean {
  return !isWord(text[at - 1]) || !isWord(text[at]);
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && /[A-Za-z0-9_]/.test(character);
}

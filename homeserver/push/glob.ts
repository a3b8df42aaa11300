/** Patterns with `*` and `?`, matched without backtracking: whoever writes a pattern must not be able to stop us. */

/** Longest text that is searched, in UTF-16 units. */
const MAX_TEXT = 20_000;

/** Whether the pattern stands for all of the text. Case does not matter. */
export function matchesWhole(pattern: string, text: string): boolean {
  return run(pattern.toLowerCase(), text.slice(0, MAX_TEXT).toLowerCase(), false);
}

/** Whether the pattern stands for some words of the text. Case does not matter. */
export function matchesWords(pattern: string, text: string): boolean {
  return run(pattern.toLowerCase(), text.slice(0, MAX_TEXT).toLowerCase(), true);
}

/** Follows all ways through the pattern at once. */
function run(pattern: string, text: string, words: boolean): boolean {
  if (!/[*?]/.test(pattern)) return words ? hasWords(pattern, text) : pattern === text;
  const end = pattern.length;
  let states = new Set<number>();
  for (let at = 0; at <= text.length; at++) {
    const isBoundary = words ? isEdge(text, at) : at === 0;
    if (isBoundary) states.add(0);
    for (const state of states) if (pattern[state] === '*') states.add(state + 1);
    if (states.has(end) && (words ? isEdge(text, at) : at === text.length)) return true;
    if (at === text.length || (states.size === 0 && !words)) return false;
    const next = new Set<number>();
    for (const state of states) {
      const wanted = pattern[state];
      if (wanted === '*') next.add(state);
      else if (wanted === '?' || (wanted !== undefined && wanted === text[at])) next.add(state + 1);
    }
    states = next;
  }
  return false;
}

/** Most patterns are just a word. */
function hasWords(pattern: string, text: string): boolean {
  for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) {
    if (isEdge(text, at) && isEdge(text, at + pattern.length)) return true;
    if (at === text.length) return false;
  }
  return false;
}

/** Whether a word may begin or end before the character at an index. */
function isEdge(text: string, at: number): boolean {
  return !isWord(text[at - 1]) || !isWord(text[at]);
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && /[A-Za-z0-9_]/.test(character);
}

/** Up to two letters that stand for a person whose camera is off. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s.]+/)
    .filter((word) => /\p{L}/u.test(word));
  const [first, ...rest] = words;
  const letter = (word: string | undefined): string => /\p{L}/u.exec(word ?? '')?.[0].toUpperCase() ?? '';
  return letter(first) + letter(rest.at(-1)) || '?';
}

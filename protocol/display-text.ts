/**
 * Names and titles as they may be shown to people, wherever they come from: profiles, room state, other servers, discovery
 * documents. A name must not change the text around it, look empty, or imitate what the client shows beside it.
 *
 * @see Unicode Technical Report 36 and Unicode Standard Annex 9 on what bidirectional controls do to text
 */

/** Longest name of a person or an organisation and longest title that is handed out, in characters. */
export const MAX_NAME_LENGTH = 256;
export const MAX_TITLE_LENGTH = 512;

/** Line breaks, tabs and other controls, every kind of space, and the blanks among letters and symbols. */
const SPACES = /[\p{Cc}\p{Z}\u2800\u3164\uffa0\u115f\u1160\u{13441}\u{13442}\u{16fe4}\u{1d159}]+/gu;
/** Bidirectional controls, zero-width characters, tags, annotation marks and private characters. */
const INVISIBLE = /[\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\ufff9-\uffff\p{Co}\p{Noncharacter_Code_Point}]/gu;
/** What of these is part of a visible character where it stands: see `keepsPlace`. */
const ZERO_WIDTH_JOINERS = /^[\u200c\u200d]$/;
const EMOJI_PRESENTATION = /^[\ufe0e\ufe0f]$/;
const EMOJI_BEFORE = /[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}\ufe0f]$/u;
const KEYCAP_BEFORE = /[\p{Emoji}]$/u;
const EMOJI_AFTER = /^[\p{Extended_Pictographic}\p{Emoji_Modifier}\u2640\u2642]/u;
/** Scripts whose letters are joined or kept apart by the zero-width joiners. */
const JOINING =
  '[\\p{Script_Extensions=Arabic}\\p{Script_Extensions=Syriac}\\p{Script_Extensions=Nko}\\p{Script_Extensions=Mongolian}' +
  '\\p{Script_Extensions=Devanagari}\\p{Script_Extensions=Bengali}\\p{Script_Extensions=Gurmukhi}' +
  '\\p{Script_Extensions=Gujarati}\\p{Script_Extensions=Oriya}\\p{Script_Extensions=Tamil}\\p{Script_Extensions=Telugu}' +
  '\\p{Script_Extensions=Kannada}\\p{Script_Extensions=Malayalam}\\p{Script_Extensions=Sinhala}' +
  '\\p{Script_Extensions=Khmer}]';
const JOINING_BEFORE = new RegExp(`${JOINING}$`, 'u');
const JOINING_AFTER = new RegExp(`^${JOINING}`, 'u');
/** More marks on one letter than any language has climb over the lines above. */
const STACKED_MARKS = /([\p{Mn}\p{Me}]{5})[\p{Mn}\p{Me}]+/gu;
/** Something that puts ink on the screen. */
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/** Squares and other shapes that look like the coloured mark of an organisation. */
const MARKS =
  /[\u2580-\u25ff\u2b12-\u2b2f\u2b1b\u2b1c\u2b50-\u2b59\u{1f532}-\u{1f53b}\u{1f7e0}-\u{1f7eb}\u{1fb00}-\u{1fbca}]+/gu;
/** The beginning of a Matrix id, as clients show it beside a name that two people have. A mail address stays. */
const ID_SIGN = /(?<![\p{L}\p{N}._%+-])[@\uff20\ufe6b](?=\S)/gu;

/**
 * The name of a person or an organisation in one line.
 *
 * @returns undefined when nothing visible is left: the caller shows the localpart or the server name
 */
export function displayName(name: unknown): string | undefined {
  if (typeof name !== 'string') return undefined;
  return plain(name, MAX_NAME_LENGTH, (text) => text.replace(MARKS, ' ').replace(ID_SIGN, ''));
}

/** The title of a meeting in one line; undefined when nothing visible is left. */
export function displayTitle(title: unknown): string | undefined {
  return typeof title === 'string' ? plain(title, MAX_TITLE_LENGTH, (text) => text) : undefined;
}

function plain(text: string, maxLength: number, more: (text: string) => string): string | undefined {
  // Longer than anything shown, and still little work for a text of 64 KiB.
  const bounded = text.slice(0, maxLength * 8).toWellFormed();
  const visible = bounded
    .replace(SPACES, ' ')
    .replace(INVISIBLE, (character, ...rest) => (keepsPlace(character, rest) ? character : ''))
    .replace(STACKED_MARKS, '$1');
  const clean = shortened(more(visible).replace(/ {2,}/g, ' ').trim(), maxLength);
  return VISIBLE.test(clean) ? clean : undefined;
}

/** A joiner inside an emoji or a word of a script that needs it, and the sign that makes a symbol an emoji. */
function keepsPlace(character: string, rest: unknown[]): boolean {
  const [offset, whole] = rest as [number, string];
  const before = whole.slice(Math.max(0, offset - 4), offset);
  const after = whole.slice(offset + character.length, offset + character.length + 4);
  if (EMOJI_PRESENTATION.test(character)) return KEYCAP_BEFORE.test(before);
  if (!ZERO_WIDTH_JOINERS.test(character)) return false;
  return (
    (EMOJI_BEFORE.test(before) && EMOJI_AFTER.test(after)) || (JOINING_BEFORE.test(before) && JOINING_AFTER.test(after))
  );
}

/** Cuts between two characters as a person counts them. */
function shortened(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  let end = 0;
  for (const { index, segment } of new Intl.Segmenter().segment(text.slice(0, maxLength + 32))) {
    if (index + segment.length > maxLength) break;
    end = index + segment.length;
  }
  return text.slice(0, end).trimEnd();
}

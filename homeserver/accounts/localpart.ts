/** The local part of a Matrix id from the name that an identity provider knows somebody by. */

/** Room for a suffix, `@`, `:` and a server name within the 255 bytes of a user id. */
export const MAX_LOCALPART_BYTES = 64;
/** Local parts that start so belong to guests. */
export const GUEST_PREFIX = 'guest-';

/** Local parts that start so belong to the server itself: nobody chooses one, and nobody logs in to such an account. */
export const SERVER_PREFIX = '_';

/** Local part of the account of the server itself that makes meetings. */
export const MEETINGS_ACCOUNT = '_meetings';

/** Whether an account belongs to the server itself. @param userId of a user of this server */
export function isServerAccount(userId: string): boolean {
  return userId.startsWith(`@${SERVER_PREFIX}`);
}

/**
 * Maps a name to the characters a-z 0-9 . _ = / + -: upper case becomes lower case, umlauts and accents lose their
 * marks, and every other byte becomes `=` and two hexadecimal digits.
 *
 * @see Matrix specification, appendices, "Mapping from other character sets"
 */
export function toLocalpart(name: string): string {
  // The user name is often a mail address; its own server says the rest.
  const local = name.replace(/@.*$/s, '') || name;
  const plain = local
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '');
  let localpart = '';
  for (const character of plain) {
    const mapped = /^[a-z0-9._/+-]$/.test(character) ? character : escape(character);
    if (localpart.length + mapped.length > MAX_LOCALPART_BYTES) break;
    localpart += mapped;
  }
  if (localpart === '') return 'user';
  // A person must not look like a guest or like the server, nor a guest like a person.
  return localpart.startsWith(GUEST_PREFIX) || localpart.startsWith(SERVER_PREFIX) ? `user-${localpart}` : localpart;
}

function escape(character: string): string {
  return Array.from(Buffer.from(character.toWellFormed()), (byte) => `=${byte.toString(16).padStart(2, '0')}`).join('');
}

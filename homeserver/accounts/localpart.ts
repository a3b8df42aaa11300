/** Derives localparts from user names of an identity provider. */

/** Leaves room for a suffix, `@`, `:` and a server name within the 255 bytes of a user id. */
export const MAX_LOCALPART_BYTES = 64;
/** The prefix of the localparts of guests. */
export const GUEST_PREFIX = 'guest-';

/** The prefix of the localparts of service users: nobody can choose one or log in to one. */
export const SERVER_PREFIX = '_';

/** The localpart of the service user that creates meetings. */
export const MEETINGS_ACCOUNT = '_meetings';

/** Whether an account is a service user. @param userId a local user id @param userId of a user of this server */
export function isServerAccount(userId: string): boolean {
  return userId.startsWith(`@${SERVER_PREFIX}`);
}

/**
 * Maps a name to the characters a-z 0-9 . _ = / + -: letters become lower case, umlauts and accents lose their marks,
 * and every other byte becomes `=` and two hexadecimal digits.
 *
 * @see Matrix specification, appendices, "Mapping from other character sets"
 */
export function toLocalpart(name: string): string {
  // The user name is often an email address; the server name says the rest.
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
  // Users must not look like guests or service users, nor guests like users.
  return localpart.startsWith(GUEST_PREFIX) || localpart.startsWith(SERVER_PREFIX) ? `user-${localpart}` : localpart;
}

function escape(character: string): string {
  return Array.from(Buffer.from(character.toWellFormed()), (byte) => `=${byte.toString(16).padStart(2, '0')}`).join('');
}

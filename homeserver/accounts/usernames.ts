/** Which user names may be registered. */
import { MatrixError } from '../base/errors.ts';
import { GUEST_PREFIX, SERVER_PREFIX } from './localpart.ts';

const MAX_USER_ID_BYTES = 255;

/**
 * The localpart for a chosen user name, in lower case.
 *
 * @throws MatrixError 400 M_INVALID_USERNAME
 * @see Matrix specification, appendices, "User identifiers"
 */
export function chosenLocalpart(username: string, serverName: string): string {
  const localpart = username.toLowerCase();
  if (!/^[a-z0-9._=/+-]+$/.test(localpart)) throw invalid('A user name may only contain a-z, 0-9 and . _ = / + -');
  if (localpart.startsWith(SERVER_PREFIX)) throw invalid(`A user name does not begin with ${SERVER_PREFIX}.`);
  if (/^[0-9]+$/.test(localpart)) throw invalid('A user name must not consist of digits only.');
  if (localpart.startsWith(GUEST_PREFIX)) throw invalid(`Names that begin with ${GUEST_PREFIX} belong to guests.`);
  if (localpart.length + serverName.length + 2 > MAX_USER_ID_BYTES) throw invalid('This user name is too long.');
  return localpart;
}

function invalid(message: string): MatrixError {
  return new MatrixError(400, 'M_INVALID_USERNAME', message);
}

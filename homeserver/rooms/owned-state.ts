/** State that names a user in its key and is that user's alone, where the auth rules of the room do not say so. */
import { MatrixError } from '../errors.ts';
import { CALL_MEMBER } from '../names.ts';

/**
 * Memberships in a call have keys such as `_@user:server_DEVICE_m.call`, which everybody may write who may send events
 * of the type: a room of version 12 knows no better. People of this server write their own only.
 *
 * @throws MatrixError 403 when the key names somebody else
 */
export function checkOwner(sender: string, { type, stateKey }: { type: string; stateKey?: string }): void {
  if (type !== CALL_MEMBER || stateKey === undefined) return;
  const named = /^_?(@.*)$/s.exec(stateKey)?.[1];
  if (named === undefined || named === sender || named.startsWith(`${sender}_`)) return;
  throw new MatrixError(403, 'M_FORBIDDEN', 'This is the place of somebody else.');
}

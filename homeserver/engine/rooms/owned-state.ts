/** State that names a user in its key and is that user's alone, where the auth rules of the room do not say so. */
import { serverOf } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { CALL_MEMBER, GUEST_FIELD } from '../../base/names.ts';

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

/** What a membership says of a person, and guests can not choose: others know them only by what the door has noted. */
const NAMES = ['displayname', 'avatar_url'];

/**
 * The content of an event with what this server vouches for: whether one of its users is a guest, and the names of its
 * guests. Those come from the account only, whoever writes the event and by whatever way.
 */
export async function vouched(
  sender: string,
  { type, stateKey, content }: { type: string; stateKey?: string; content: JsonObject },
  serverName: string,
  accounts: {
    readonly isGuest: (userId: string) => Promise<boolean>;
    readonly profile: (userId: string) => Promise<JsonObject>;
  },
): Promise<JsonObject> {
  if (stateKey === undefined) return content;
  if (type === CALL_MEMBER && serverOf(sender) === serverName && Object.keys(content).length > 0) {
    return withGuest(content, await accounts.isGuest(sender));
  }
  if (type !== 'm.room.member' || !isOf(stateKey, serverName)) return content;
  // Others choose their names themselves.
  if (!(await accounts.isGuest(stateKey))) return withGuest(content, false);
  return namedByAccount(content, await accounts.profile(stateKey));
}

/** The content of a membership of a local user; the profile wins where the user is a guest. */
export function namedByAccount(content: JsonObject, profile: JsonObject): JsonObject {
  const isGuest = profile[GUEST_FIELD] === true;
  const plain = withGuest(content, isGuest);
  if (!isGuest) return plain;
  const rest = Object.fromEntries(Object.entries(plain).filter(([name]) => !NAMES.includes(name)));
  // Who has left or was shut out needs no name.
  const membership = member(content, 'membership');
  return membership === 'leave' || membership === 'ban' ? rest : { ...rest, ...profile };
}

function withGuest(content: JsonObject, isGuest: boolean): JsonObject {
  const { [GUEST_FIELD]: _said, ...rest } = content;
  return isGuest ? { ...rest, [GUEST_FIELD]: true } : rest;
}

function isOf(userId: string, serverName: string): boolean {
  return userId.startsWith('@') && userId.endsWith(`:${serverName}`) && serverOf(userId) === serverName;
}

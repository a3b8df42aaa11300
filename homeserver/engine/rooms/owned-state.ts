/** State with a user id in its key that only this user may set, where the auth rules do not enforce it. */
import { serverOf } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { CALL_MEMBER, GUEST_FIELD } from '../../base/names.ts';

/**
 * MatrixRTC memberships have keys such as `_@user:server_DEVICE_m.call`, which everybody with the power level for the
 * type may write in a version 12 room. Local users may only write their own.
 *
 * @throws MatrixError 403 when the key names another user
 */
export function checkOwner(sender: string, { type, stateKey }: { type: string; stateKey?: string }): void {
  if (type !== CALL_MEMBER || stateKey === undefined) return;
  const named = /^_?(@.*)$/s.exec(stateKey)?.[1];
  if (named === undefined || named === sender || named.startsWith(`${sender}_`)) return;
  throw new MatrixError(403, 'M_FORBIDDEN', 'This state belongs to another user.');
}

/**
 * The fields of a membership event that guests cannot choose: others know them only by the name they gave when they
 * joined.
 */
const NAMES = ['displayname', 'avatar_url'];

/**
 * The content of an event with the fields for which this server is responsible: the guest flag of its users, and the
 * names of its guests. These come from the account only, whoever writes the event and however.
 */
export async function withAccountFields(
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
  // Other users choose their names themselves.
  if (!(await accounts.isGuest(stateKey))) return withGuest(content, false);
  return withAccountNames(content, await accounts.profile(stateKey));
}

/** The content of a membership event of a local guest, with the profile's values. */
export function withAccountNames(content: JsonObject, profile: JsonObject): JsonObject {
  const isGuest = profile[GUEST_FIELD] === true;
  const plain = withGuest(content, isGuest);
  if (!isGuest) return plain;
  const rest = Object.fromEntries(Object.entries(plain).filter(([name]) => !NAMES.includes(name)));
  // Somebody who left or was banned needs no name.
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

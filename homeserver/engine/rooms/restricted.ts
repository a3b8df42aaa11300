/**
 * Restricted rooms, which members of other rooms may join: who may join, and which of our users authorises it.
 *
 * @see Matrix specification, server-server API, "Restricted rooms"
 */
import { powerLevelOf, powerLevels, stateKey, stateViewOf } from '../../../federation/auth-rules.ts';
import { creatorsOf } from '../../../federation/power-levels.ts';
import { serverOf } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import type { EventStore } from './event-store.ts';
import type { Members } from './members.ts';
import type { Room } from './room.ts';
import { signedForm } from './stored-event.ts';

/** Most rooms of a join rule that are considered. */
const MAX_ALLOWED_ROOMS = 100;

export interface RestrictedDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly members: Members;
}

/** Whether the join rule of a room is a restricted one. */
export async function isRestricted(deps: RestrictedDeps, room: Room): Promise<boolean> {
  const rule = member(await joinRules(deps, room), 'join_rule');
  return (
    (rule === 'restricted' && room.version.restrictedJoins) ||
    (rule === 'knock_restricted' && room.version.knockRestricted)
  );
}

/** The rooms whose members may join. */
export async function allowedRooms(deps: RestrictedDeps, room: Room): Promise<string[]> {
  const allow = member(await joinRules(deps, room), 'allow');
  if (!Array.isArray(allow)) return [];
  return allow
    .slice(0, MAX_ALLOWED_ROOMS)
    .filter(isJsonObject)
    .filter((entry) => entry['type'] === 'm.room_membership')
    .map((entry) => member(entry, 'room_id'))
    .filter((roomId) => typeof roomId === 'string');
}

/**
 * The local user in the room who authorises a join (`join_authorised_via_users_server`); undefined when none is needed.
 *
 * @throws MatrixError 403 for a user who is in none of the rooms
 * @throws MatrixError 400 M_UNABLE_TO_AUTHORISE_JOIN when we are not in all of the rooms and so cannot check
 * @throws MatrixError 400 M_UNABLE_TO_GRANT_JOIN when no local user may invite
 */
export async function authoriser(deps: RestrictedDeps, room: Room, userId: string): Promise<string | undefined> {
  const { members, serverName } = deps;
  if (!(await isRestricted(deps, room))) return undefined;
  const present = await members.membership(room.roomId, userId);
  if (present === 'join' || present === 'invite') return undefined;
  let unknown = false;
  let allowed = false;
  for (const roomId of await allowedRooms(deps, room)) {
    if (!(await members.servers(roomId)).has(serverName)) unknown = true;
    else if ((await members.membership(roomId, userId)) === 'join') {
      allowed = true;
      break;
    }
  }
  if (!allowed && unknown) {
    throw new MatrixError(400, 'M_UNABLE_TO_AUTHORISE_JOIN', 'This server cannot check whether the user may join.');
  }
  if (!allowed) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'Only members of certain rooms may join this room.');
  }
  const found = await inviter(deps, room);
  if (found === undefined) {
    throw new MatrixError(400, 'M_UNABLE_TO_GRANT_JOIN', 'No user of this server may invite to the room.');
  }
  return found;
}

/** A local user in the room who may invite. */
async function inviter({ events, members, serverName }: RestrictedDeps, room: Room): Promise<string | undefined> {
  const levelsId = room.state.map.get(stateKey('m.room.power_levels', ''));
  const levels = levelsId === undefined ? undefined : await events.get(levelsId);
  const view = stateViewOf(levels ? [signedForm(levels)] : [], room.create);
  const needed = powerLevels(view).invite;
  const named = Object.keys(isJsonObject(levels?.pdu.content['users']) ? levels.pdu.content['users'] : {});
  const candidates = [...creatorsOf(room.create, room.version), ...named].filter((userId) => {
    try {
      return serverOf(userId) === serverName;
    } catch {
      return false;
    }
  });
  for (const userId of candidates) {
    if (powerLevelOf(userId, room.version, view) < needed) continue;
    if ((await members.membership(room.roomId, userId)) === 'join') return userId;
  }
  for (const userId of await members.joinedOf(room.roomId, serverName)) {
    if (powerLevelOf(userId, room.version, view) >= needed) return userId;
  }
  return undefined;
}

async function joinRules({ events }: RestrictedDeps, room: Room): Promise<JsonObject | undefined> {
  const id = room.state.map.get(stateKey('m.room.join_rules', ''));
  return id === undefined ? undefined : (await events.get(id))?.pdu.content;
}

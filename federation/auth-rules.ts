import { AuthError } from './auth-error.ts';
import { checkMember } from './auth-rules-member.ts';
import { checkPowerLevels } from './auth-rules-power-levels.ts';
import { eventId, isCreate, roomIdOf } from './event.ts';
import type { Pdu } from './event.ts';
import { isGivenEventId, isUserId, serverOf } from './identifiers.ts';
import { isJsonObject, member } from './json.ts';
import { levelToSend, powerLevelOf, powerLevels } from './power-levels.ts';
import type { RoomVersion } from './room-versions.ts';
import { membershipOf, stateKey } from './state-view.ts';
import type { StateKey, StateView } from './state-view.ts';

export { AuthError } from './auth-error.ts';
export { creatorsOf, levelToSend, powerLevelOf, powerLevels } from './power-levels.ts';
export type { PowerLevels } from './power-levels.ts';
export { membershipOf, splitStateKey, stateKey, stateViewOf } from './state-view.ts';
export type { StateKey, StateView } from './state-view.ts';

/**
 * Which state events an event has to reference in its auth events, where they exist.
 *
 * @see Matrix specification, server-server API, "Auth events selection"
 */
export function authTypesFor(event: Pdu, version: RoomVersion): [type: string, key: string][] {
  if (isCreate(event)) return [];
  const types: [string, string][] = [
    ['m.room.power_levels', ''],
    ['m.room.member', event.sender],
  ];
  if (!version.hashRoomIds) types.push(['m.room.create', '']);
  if (event.type !== 'm.room.member' || event.state_key === undefined) return types;

  if (event.state_key !== event.sender) types.push(['m.room.member', event.state_key]);
  const membership = member(event.content, 'membership');
  if (membership === 'join' || membership === 'invite' || (membership === 'knock' && version.knocking)) {
    types.push(['m.room.join_rules', '']);
  }
  if (membership === 'invite') {
    const token = thirdPartyToken(event);
    if (token !== undefined) types.push(['m.room.third_party_invite', token]);
  }
  const authoriser = member(event.content, 'join_authorised_via_users_server');
  if (membership === 'join' && version.restrictedJoins && typeof authoriser === 'string') {
    if (authoriser !== event.sender && authoriser !== event.state_key) types.push(['m.room.member', authoriser]);
  }
  return types;
}

/** One auth event of an event, with what we decided about it. */
export interface AuthEvent {
  readonly eventId: string;
  readonly event: Pdu;
  readonly rejected: boolean;
}

/**
 * Checks the auth events of an event: all known, no two for the same type and state key, none outside the selection, none
 * rejected, all of the same room, and the create event among them where the room version requires it.
 *
 * @param authEvents its auth events, as far as we have them
 * @throws AuthError
 * @see Matrix specification, room versions, "Authorization rules", rule 2 (3 in version 12)
 */
export function checkAuthEventsSelection(event: Pdu, version: RoomVersion, authEvents: readonly AuthEvent[]): void {
  if (isCreate(event)) {
    if (event.auth_events.length > 0) throw new AuthError('The create event has auth events.');
    return;
  }
  const byId = new Map(authEvents.map((entry) => [entry.eventId, entry]));
  const wanted = new Set(authTypesFor(event, version).map(([type, key]) => stateKey(type, key)));
  const seen = new Set<StateKey>();
  for (const id of event.auth_events) {
    const entry = byId.get(id);
    if (entry === undefined) throw new AuthError(`The auth event ${id} is missing.`);
    const { type, state_key: key } = entry.event;
    const name = key === undefined ? undefined : stateKey(type, key);
    if (name === undefined || !wanted.has(name))
      throw new AuthError(`The auth event ${id} (${type}) is not in the selection for this event.`);
    if (seen.has(name)) throw new AuthError(`There are two auth events for ${type}.`);
    seen.add(name);
    if (entry.rejected) throw new AuthError(`The auth event ${id} was rejected.`);
    if (roomIdOf(entry.event, version) !== event.room_id)
      throw new AuthError(`The auth event ${id} belongs to another room.`);
  }
  if (!version.hashRoomIds && !seen.has(stateKey('m.room.create', ''))) {
    throw new AuthError('The create event is not among the auth events.');
  }
}

/**
 * Applies the auth rules of the room version to an event, except for the selection of auth events and the signatures.
 *
 * @param id the id of the event
 * @param state the auth events, the state before the event, or the current state, depending on the check;
 *   `state.create` must only be set to a create event that was accepted
 * @throws AuthError with the reason
 * @see Matrix specification, room versions, "Authorization rules"
 */
export function checkAuth(event: Pdu, id: string, version: RoomVersion, state: StateView): void {
  if (event.type === 'm.room.create') return checkCreate(event, version);
  const create = state.create;
  if (create === undefined) throw new AuthError(`The room of ${id} has no create event.`);
  if (roomIdOf(create, version) !== event.room_id) throw new AuthError(`The event ${id} belongs to another room.`);
  if (member(create.content, 'm.federate') === false && serverOf(event.sender) !== serverOf(create.sender)) {
    throw new AuthError('The room does not federate (m.federate is false).');
  }
  if (event.type === 'm.room.aliases' && version.aliasesRule) return checkAliases(event);
  if (event.type === 'm.room.member') return checkMember(event, version, state, () => eventId(create, version));

  if (membershipOf(event.sender, state) !== 'join') throw new AuthError(`${event.sender} is not in the room.`);
  const level = powerLevelOf(event.sender, version, state);
  if (event.type === 'm.room.third_party_invite') {
    if (level < powerLevels(state).invite) throw new AuthError(`${event.sender} may not invite.`);
    return;
  }
  const needed = levelToSend(event.type, event.state_key !== undefined, state);
  if (level < needed) throw new AuthError(`${event.type} needs power level ${needed}, ${event.sender} has ${level}.`);
  if (event.state_key?.startsWith('@') === true && event.state_key !== event.sender) {
    if (!version.ownedState) throw new AuthError("A state key that is a user id must be the sender's.");
    const owner = ownerOf(event.state_key);
    if (owner !== event.sender && level <= powerLevelOf(owner, version, state)) {
      throw new AuthError(`Only ${owner} and users with more power may set this state.`);
    }
  }
  if (event.type === 'm.room.power_levels') checkPowerLevels(event, version, state, level);
  if (event.type === 'm.room.redaction' && version.eventIds === 'given') checkRedaction(event, state, level);
}

/** The user id that a state key is, or starts with (followed by an underscore). @throws AuthError @see MSC3757 */
function ownerOf(key: string): string {
  const colon = key.indexOf(':');
  const end = colon < 0 ? -1 : key.indexOf('_', colon);
  const owner = end < 0 ? key : key.slice(0, end);
  if (!isUserId(owner)) {
    throw new AuthError(
      'A state key that starts with @ must be a user id, or a user id followed by an underscore.',
      'M_BAD_JSON',
    );
  }
  return owner;
}

/** Room versions 1 and 2 only; later ones check a redaction when the redacted event is known. */
function checkRedaction(event: Pdu, state: StateView, level: number): void {
  const { redacts } = event;
  const isOwn = isGivenEventId(redacts) && serverOf(redacts) === serverOf(event.sender);
  if (!isOwn && level < powerLevels(state).redact) throw new AuthError(`${event.sender} may not redact.`);
}

/** Before room version 6: each server kept its aliases of the room in one state event, sent by any of its users. */
function checkAliases(event: Pdu): void {
  if (event.state_key !== serverOf(event.sender))
    throw new AuthError("The state key of m.room.aliases is not the sender's server.");
}

function checkCreate(event: Pdu, version: RoomVersion): void {
  if (event.state_key !== '') throw new AuthError('The state key of the create event is not empty.');
  if (event.prev_events.length > 0) throw new AuthError('The create event has previous events.');
  if (version.hashRoomIds) {
    if (event.room_id !== undefined) throw new AuthError('The create event has a room_id.');
  } else if (event.room_id === undefined || serverOf(event.room_id) !== serverOf(event.sender)) {
    throw new AuthError("The room_id does not belong to the creator's server.");
  }
  // Without room_version, a room is of version 1.
  if ((member(event.content, 'room_version') ?? '1') !== version.id)
    throw new AuthError('The create event names another room version.');
  if (!version.implicitCreator && member(event.content, 'creator') === undefined) {
    throw new AuthError('The create event names no creator.');
  }
  const additional = member(event.content, 'additional_creators');
  if (version.privilegedCreators && additional !== undefined) {
    const valid = Array.isArray(additional) && additional.every((id) => typeof id === 'string' && isUserId(id));
    if (!valid) throw new AuthError('additional_creators is not a list of user ids.');
  }
}

function thirdPartyToken(event: Pdu): string | undefined {
  const invite = member(event.content, 'third_party_invite');
  const signed = isJsonObject(invite) ? member(invite, 'signed') : undefined;
  const token = isJsonObject(signed) ? member(signed, 'token') : undefined;
  return typeof token === 'string' ? token : undefined;
}

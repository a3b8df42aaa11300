import { AuthError } from './auth-error.ts';
import type { Pdu } from './event.ts';
import { isJsonObject, member } from './json.ts';
import type { JsonObject } from './json.ts';
import { creatorsOf, powerLevelOf, powerLevels } from './power-levels.ts';
import type { RoomVersion } from './room-versions.ts';
import { verifySignature } from './signing.ts';
import { membershipOf } from './state-view.ts';
import type { StateView } from './state-view.ts';

// An identity server signs with one or two keys; the limit bounds the verifications that one event can cause.
const MAX_THIRD_PARTY_KEYS = 5;

/**
 * The rules for `m.room.member`.
 *
 * @param createId computes the id of the create event
 * @throws AuthError
 */
export function checkMember(event: Pdu, version: RoomVersion, state: StateView, createId: () => string): void {
  const target = event.state_key;
  const membership = member(event.content, 'membership');
  if (target === undefined) throw new AuthError('A membership event needs a state key.');
  if (membership === 'join') return checkJoin(event, target, version, state, createId);
  if (membership === 'invite') return checkInvite(event, target, version, state);
  if (membership === 'leave') return checkLeave(event, target, version, state);
  if (membership === 'ban') return checkBan(event, target, version, state);
  if (membership === 'knock' && version.knocking) return checkKnock(event, target, version, state);
  throw new AuthError('The membership is missing or unknown.');
}

function checkJoin(event: Pdu, target: string, version: RoomVersion, state: StateView, createId: () => string): void {
  if (isFirstJoin(event, target, version, state, createId)) return;
  if (event.sender !== target) throw new AuthError('A user can only join for themselves.');
  const current = membershipOf(target, state);
  if (current === 'ban') throw new AuthError(`${target} is banned.`);
  const rule = joinRule(state);
  if (rule === 'public') return;
  if (rule === 'invite' || (rule === 'knock' && version.knocking)) {
    if (current === 'join' || current === 'invite') return;
    throw new AuthError(`${target} is not invited to the room.`);
  }
  if (isRestricted(rule, version)) {
    if (current === 'join' || current === 'invite') return;
    return checkAuthoriser(event, version, state);
  }
  throw new AuthError(`The join rule ${rule} does not allow joining.`);
}

// The creator's own join directly after the create event, before there are join rules.
function isFirstJoin(
  event: Pdu,
  target: string,
  version: RoomVersion,
  state: StateView,
  createId: () => string,
): boolean {
  if (state.create === undefined || event.prev_events.length !== 1) return false;
  const [creator] = creatorsOf(state.create, version);
  return target === creator && event.sender === target && event.prev_events[0] === createId();
}

function checkAuthoriser(event: Pdu, version: RoomVersion, state: StateView): void {
  const authoriser = member(event.content, 'join_authorised_via_users_server');
  if (typeof authoriser !== 'string') throw new AuthError('The join has no join_authorised_via_users_server.');
  if (membershipOf(authoriser, state) !== 'join') throw new AuthError(`${authoriser} is not in the room.`);
  if (powerLevelOf(authoriser, version, state) < powerLevels(state).invite) {
    throw new AuthError(`${authoriser} may not invite.`);
  }
}

function checkInvite(event: Pdu, target: string, version: RoomVersion, state: StateView): void {
  const current = membershipOf(target, state);
  const thirdParty = member(event.content, 'third_party_invite');
  if (thirdParty !== undefined) {
    if (current === 'ban') throw new AuthError(`${target} is banned.`);
    return checkThirdPartyInvite(event, target, isJsonObject(thirdParty) ? thirdParty : {}, state);
  }
  requireJoined(event.sender, state);
  if (current === 'join' || current === 'ban')
    throw new AuthError(`${target} cannot be invited: the membership is ${current}.`);
  if (powerLevelOf(event.sender, version, state) < powerLevels(state).invite) {
    throw new AuthError(`${event.sender} may not invite.`);
  }
}

function checkThirdPartyInvite(event: Pdu, target: string, invite: JsonObject, state: StateView): void {
  const signed = member(invite, 'signed');
  if (!isJsonObject(signed)) throw new AuthError('The third-party invite is not signed.');
  const token = member(signed, 'token');
  if (member(signed, 'mxid') !== target) throw new AuthError('The third-party invite is for another user.');
  const original = typeof token === 'string' ? state.get('m.room.third_party_invite', token) : undefined;
  if (original === undefined) throw new AuthError('The room has no matching m.room.third_party_invite event.');
  if (original.sender !== event.sender) throw new AuthError('The third-party invite was sent by another user.');
  if (!isSignedByOneOf(signed, publicKeysOf(original.content))) {
    throw new AuthError('No signature of the third-party invite matches its public keys.');
  }
}

function isSignedByOneOf(signed: JsonObject, publicKeys: string[]): boolean {
  const signatures = member(signed, 'signatures');
  if (!isJsonObject(signatures)) return false;
  for (const [server, ofServer] of Object.entries(signatures).slice(0, MAX_THIRD_PARTY_KEYS)) {
    if (!isJsonObject(ofServer)) continue;
    for (const keyId of Object.keys(ofServer).slice(0, MAX_THIRD_PARTY_KEYS)) {
      if (!keyId.startsWith('ed25519:')) continue;
      if (publicKeys.some((publicKey) => verifySignature(signed, server, keyId, publicKey))) return true;
    }
  }
  return false;
}

function publicKeysOf(content: JsonObject): string[] {
  const keys: unknown[] = [member(content, 'public_key')];
  const list = member(content, 'public_keys');
  if (Array.isArray(list)) {
    for (const entry of list.slice(0, MAX_THIRD_PARTY_KEYS)) {
      if (isJsonObject(entry)) keys.push(member(entry, 'public_key'));
    }
  }
  return keys.filter((key) => typeof key === 'string');
}

function checkLeave(event: Pdu, target: string, version: RoomVersion, state: StateView): void {
  const current = membershipOf(target, state);
  if (event.sender === target) {
    if (current === 'join' || current === 'invite' || (current === 'knock' && version.knocking)) return;
    throw new AuthError(`${target} cannot leave: the membership is ${current}.`);
  }
  requireJoined(event.sender, state);
  const levels = powerLevels(state);
  const own = powerLevelOf(event.sender, version, state);
  if (current === 'ban' && own < levels.ban) throw new AuthError(`${event.sender} may not unban.`);
  if (own < levels.kick) throw new AuthError(`${event.sender} may not kick.`);
  requireAbove(event.sender, target, version, state);
}

function checkBan(event: Pdu, target: string, version: RoomVersion, state: StateView): void {
  requireJoined(event.sender, state);
  if (powerLevelOf(event.sender, version, state) < powerLevels(state).ban) {
    throw new AuthError(`${event.sender} may not ban.`);
  }
  requireAbove(event.sender, target, version, state);
}

function checkKnock(event: Pdu, target: string, version: RoomVersion, state: StateView): void {
  const rule = joinRule(state);
  if (rule !== 'knock' && !(rule === 'knock_restricted' && version.knockRestricted)) {
    throw new AuthError(`The join rule ${rule} does not allow knocking.`);
  }
  if (event.sender !== target) throw new AuthError('A user can only knock for themselves.');
  const current = membershipOf(target, state);
  if (current === 'ban' || current === 'invite' || current === 'join') {
    throw new AuthError(`${target} cannot knock: the membership is ${current}.`);
  }
}

function requireJoined(userId: string, state: StateView): void {
  if (membershipOf(userId, state) !== 'join') throw new AuthError(`${userId} is not in the room.`);
}

function requireAbove(sender: string, target: string, version: RoomVersion, state: StateView): void {
  if (powerLevelOf(target, version, state) >= powerLevelOf(sender, version, state)) {
    throw new AuthError(`The power level of ${target} is not below that of ${sender}.`);
  }
}

function joinRule(state: StateView): string {
  const rule = member(state.get('m.room.join_rules', '')?.content, 'join_rule');
  return typeof rule === 'string' ? rule : 'invite';
}

function isRestricted(rule: string, version: RoomVersion): boolean {
  if (rule === 'restricted') return version.restrictedJoins;
  return rule === 'knock_restricted' && version.knockRestricted;
}

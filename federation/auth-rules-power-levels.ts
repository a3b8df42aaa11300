import { AuthError } from './auth-error.ts';
import type { Pdu } from './event.ts';
import { isUserId } from './identifiers.ts';
import { isJsonObject, member } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { creatorsOf, readLevel, SCALAR_LEVELS } from './power-levels.ts';
import type { RoomVersion } from './room-versions.ts';
import type { StateView } from './state-view.ts';

/**
 * The rules for `m.room.power_levels`: the format of the content, and that nobody grants or removes more power than they
 * have.
 *
 * @param own the power level of the sender
 * @throws AuthError
 */
export function checkPowerLevels(event: Pdu, version: RoomVersion, state: StateView, own: number): void {
  checkForm(event.content, version, state);
  const previous = state.get('m.room.power_levels', '')?.content;
  if (previous === undefined) return;
  for (const name of SCALAR_LEVELS) {
    checkChange(name, level(previous, name), level(event.content, name), own);
  }
  for (const name of version.notificationLevels ? ['events', 'notifications'] : ['events']) {
    const before = entries(previous, name);
    const after = entries(event.content, name);
    for (const key of keysOf(before, after)) checkChange(`${name} ${key}`, level(before, key), level(after, key), own);
  }
  const before = entries(previous, 'users');
  const after = entries(event.content, 'users');
  for (const userId of keysOf(before, after)) {
    const was = level(before, userId);
    const becomes = level(after, userId);
    if (was === becomes) continue;
    if (userId !== event.sender && was !== undefined && was >= own) {
      throw new AuthError(`The power level of ${userId} is not below that of ${event.sender}.`);
    }
    if (becomes !== undefined && becomes > own) throw new AuthError('Nobody can grant a power level above their own.');
  }
}

function checkForm(content: JsonObject, version: RoomVersion, state: StateView): void {
  const isLevel = (value: JsonValue): boolean =>
    version.integerPowerLevels ? Number.isSafeInteger(value) : readLevel(value) !== undefined;
  for (const name of SCALAR_LEVELS) {
    const value = member(content, name);
    if (value !== undefined && !isLevel(value))
      throw new AuthError(`The power level ${name} is not an integer.`, 'M_BAD_JSON');
  }
  for (const name of ['events', ...(version.notificationLevels ? ['notifications'] : []), 'users']) {
    const value = member(content, name);
    if (value === undefined) continue;
    if (!isJsonObject(value) || !Object.values(value).every(isLevel)) {
      throw new AuthError(`The power levels in ${name} are not integers.`, 'M_BAD_JSON');
    }
    if (name === 'users' && !Object.keys(value).every(isUserId)) {
      throw new AuthError('A key of users is not a user id.', 'M_BAD_JSON');
    }
  }
  if (!version.privilegedCreators || state.create === undefined) return;
  const users = entries(content, 'users');
  if (creatorsOf(state.create, version).some((creator) => Object.hasOwn(users, creator))) {
    throw new AuthError('A room creator must not be listed in users.', 'M_BAD_JSON');
  }
}

function checkChange(name: string, was: number | undefined, becomes: number | undefined, own: number): void {
  if (was === becomes) return;
  if ((was !== undefined && was > own) || (becomes !== undefined && becomes > own)) {
    throw new AuthError(`The power level ${name} is above the sender's own.`);
  }
}

function level(object: JsonObject, name: string): number | undefined {
  return readLevel(member(object, name));
}

function entries(content: JsonObject, name: string): JsonObject {
  const value = member(content, name);
  return isJsonObject(value) ? value : {};
}

function keysOf(a: JsonObject, b: JsonObject): Set<string> {
  return new Set([...Object.keys(a), ...Object.keys(b)]);
}

import type { Pdu } from './event.ts';
import { isJsonObject, member } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';
import type { RoomVersion } from './room-versions.ts';
import type { StateView } from './state-view.ts';

/** The power levels in force, with the defaults of the specification filled in. */
export interface PowerLevels {
  readonly users_default: number;
  readonly events_default: number;
  readonly state_default: number;
  readonly ban: number;
  readonly kick: number;
  readonly redact: number;
  readonly invite: number;
  readonly users: ReadonlyMap<string, number>;
  readonly events: ReadonlyMap<string, number>;
  readonly notifications: ReadonlyMap<string, number>;
}

/** The single levels of a power level event, in the order in which the auth rules name them. */
export const SCALAR_LEVELS = [
  'users_default',
  'events_default',
  'state_default',
  'ban',
  'redact',
  'kick',
  'invite',
] as const;

// Power levels are read for every event, while the event that holds them changes rarely.
const known = new WeakMap<Pdu, PowerLevels>();
const NO_EVENT = levelsOf({});

/**
 * The power levels of a room. Without `m.room.power_levels` the defaults apply, with a `state_default` of 50;
 * `powerLevelOf` takes into account that the creator then has 100.
 *
 * @see Matrix specification, client-server API, "m.room.power_levels"
 */
export function powerLevels(state: StateView): PowerLevels {
  const event = state.get('m.room.power_levels', '');
  if (event === undefined) return NO_EVENT;
  let levels = known.get(event);
  if (levels === undefined) {
    levels = levelsOf(event.content);
    known.set(event, levels);
  }
  return levels;
}

/** The power level of a user; infinite for the creators of a version 12 room. */
export function powerLevelOf(userId: string, version: RoomVersion, state: StateView): number {
  const isCreator = state.create !== undefined && creatorsOf(state.create, version).includes(userId);
  if (isCreator && version.privilegedCreators) return Number.POSITIVE_INFINITY;
  if (state.get('m.room.power_levels', '') === undefined) return isCreator ? 100 : 0;
  const levels = powerLevels(state);
  return levels.users.get(userId) ?? levels.users_default;
}

/** The power level that sending an event of this type needs. */
export function levelToSend(type: string, isState: boolean, state: StateView): number {
  const levels = powerLevels(state);
  return levels.events.get(type) ?? (isState ? levels.state_default : levels.events_default);
}

/** Who created the room: one user, or in version 12 possibly several. */
export function creatorsOf(create: Pdu, version: RoomVersion): string[] {
  if (!version.implicitCreator) {
    const creator = member(create.content, 'creator');
    return typeof creator === 'string' ? [creator] : [];
  }
  const additional = version.privilegedCreators ? member(create.content, 'additional_creators') : undefined;
  const others = Array.isArray(additional) ? additional.filter((id) => typeof id === 'string') : [];
  return [create.sender, ...others];
}

/**
 * Reads one power level. Before room version 10, strings of digits with a sign and white space are valid as well; from
 * 10 on, no event with such a string passes the auth rules, so accepting it does no harm.
 *
 * @returns undefined when the value is not a power level
 */
export function readLevel(value: JsonValue | undefined): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  if (typeof value !== 'string' || value.length > 100 || !/^\s*[+-]?[0-9]+\s*$/.test(value)) return undefined;
  const level = Number(value);
  return Number.isSafeInteger(level) ? level : undefined;
}

function levelsOf(content: JsonObject): PowerLevels {
  const level = (name: string, fallback: number): number => readLevel(member(content, name)) ?? fallback;
  return {
    users_default: level('users_default', 0),
    events_default: level('events_default', 0),
    state_default: level('state_default', 50),
    ban: level('ban', 50),
    kick: level('kick', 50),
    redact: level('redact', 50),
    invite: level('invite', 0),
    users: levelMap(member(content, 'users')),
    events: levelMap(member(content, 'events')),
    notifications: levelMap(member(content, 'notifications')),
  };
}

function levelMap(value: JsonValue | undefined): Map<string, number> {
  const map = new Map<string, number>();
  if (!isJsonObject(value)) return map;
  for (const [key, entry] of Object.entries(value)) {
    const level = readLevel(entry);
    if (level !== undefined) map.set(key, level);
  }
  return map;
}

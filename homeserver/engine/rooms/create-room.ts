/** The first events of a new room. @see Matrix specification, client-server API, "createRoom" */
import { isUserId } from '../../../federation/event.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { MatrixError } from '../../base/errors.ts';
import type { NewEvent } from './local-events.ts';

export type Preset = 'private_chat' | 'trusted_private_chat' | 'public_chat';

export interface CreateRoomOptions {
  readonly name?: string;
  readonly topic?: string;
  readonly preset?: Preset;
  readonly visibility?: 'public' | 'private';
  /** User ids to invite, local or remote. */
  readonly invite?: readonly string[];
  readonly isDirect?: boolean;
  readonly initialState?: readonly { type: string; stateKey: string; content: JsonObject }[];
  readonly creationContent?: JsonObject;
  readonly powerLevelContentOverride?: JsonObject;
  /** The complete power levels, as for an upgraded room. */
  readonly powerLevels?: JsonObject;
  readonly roomVersion?: string;
}

interface PresetRules {
  readonly joinRule: string;
  readonly guestAccess: string;
}

const PRESETS: Readonly<Record<Preset, PresetRules>> = {
  private_chat: { joinRule: 'invite', guestAccess: 'can_join' },
  trusted_private_chat: { joinRule: 'invite', guestAccess: 'can_join' },
  public_chat: { joinRule: 'public', guestAccess: 'forbidden' },
};

/**
 * The events after the create event and the creator's join, in order.
 *
 * @param privileged whether the room version gives creators infinite power, so that they must not be in `users`
 */
export function firstEvents(creator: string, options: CreateRoomOptions, privileged: boolean): NewEvent[] {
  const preset = PRESETS[options.preset ?? (options.visibility === 'public' ? 'public_chat' : 'private_chat')];
  const levels: JsonObject = {
    users: privileged ? {} : { [creator]: 100 },
    users_default: 0,
    events: {
      'm.room.avatar': 50,
      'm.room.canonical_alias': 50,
      'm.room.encryption': 100,
      'm.room.history_visibility': 100,
      'm.room.name': 50,
      'm.room.power_levels': 100,
      'm.room.server_acl': 100,
      // In version 12 only creators may upgrade a room: nobody else is above 100.
      'm.room.tombstone': privileged ? 150 : 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    // In a public room, only those who run it invite.
    invite: preset === PRESETS.public_chat ? 50 : 0,
  };
  if (options.preset === 'trusted_private_chat' && !privileged) {
    levels['users'] = { [creator]: 100, ...Object.fromEntries((options.invite ?? []).map((user) => [user, 100])) };
  }
  const state = new Map<string, NewEvent>();
  const add = (type: string, content: JsonObject, stateKey = ''): void => {
    state.set(`${type}\0${stateKey}`, { type, stateKey, content });
  };
  add('m.room.power_levels', options.powerLevels ?? mergeLevels(levels, options.powerLevelContentOverride));
  add('m.room.join_rules', { join_rule: preset.joinRule });
  add('m.room.history_visibility', { history_visibility: 'shared' });
  // The default of guest_access is forbidden.
  if (preset.guestAccess === 'can_join') add('m.room.guest_access', { guest_access: preset.guestAccess });
  for (const event of options.initialState ?? []) add(event.type, event.content, event.stateKey);
  if (options.name !== undefined) add('m.room.name', { name: options.name });
  if (options.topic !== undefined) {
    add('m.room.topic', { topic: options.topic, 'm.topic': { 'm.text': [{ body: options.topic }] } });
  }
  return [...state.values()];
}

/**
 * The content of the create event.
 *
 * @throws MatrixError 400 when `additional_creators` is not a list of user ids
 */
export function createContent(creator: string, options: CreateRoomOptions, version: RoomVersion): JsonObject {
  const content: JsonObject = { ...options.creationContent, room_version: version.id };
  if (version.implicitCreator) delete content['creator'];
  else content['creator'] = creator;
  if (!version.privilegedCreators) return content;
  const given = content['additional_creators'];
  if (given !== undefined && !isUserIds(given)) {
    throw new MatrixError(400, 'M_BAD_JSON', 'additional_creators must be a list of user ids.');
  }
  const creators = new Set(given);
  // In a trusted private chat all have the same power; in these versions only creators equal the creator.
  if (options.preset === 'trusted_private_chat') for (const userId of options.invite ?? []) creators.add(userId);
  creators.delete(creator);
  if (creators.size > 0) content['additional_creators'] = [...creators];
  return content;
}

function isUserIds(value: JsonValue): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && isUserId(item));
}

/**
 * Top-level members of the override replace ours, as the specification says; `events` is merged, as deployed servers
 * do.
 */
function mergeLevels(levels: JsonObject, override: JsonObject | undefined): JsonObject {
  if (override === undefined) return levels;
  const merged = { ...levels, ...override };
  const [events, overrides] = [levels['events'], override['events']];
  if (typeof events === 'object' && typeof overrides === 'object') {
    merged['events'] = { ...(events as JsonObject), ...(overrides as JsonObject) };
  }
  return merged;
}

/** The public summary of a room, for people who are not in it. */
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { RoomReader } from './room-reader.ts';
import type { StoredEvent } from './rooms.ts';

/** @see Matrix specification, client-server API, "PublicRoomsChunk" */
export interface RoomSummary {
  readonly room_id: string;
  readonly name?: string;
  readonly topic?: string;
  readonly avatar_url?: string;
  readonly canonical_alias?: string;
  readonly num_joined_members: number;
  readonly join_rule: string;
  readonly world_readable: boolean;
  readonly guest_can_join: boolean;
  readonly room_type?: string;
  readonly room_version: string;
  readonly encryption?: string;
  /** The rooms whose members may join, for a restricted room. */
  readonly allowed_room_ids?: string[];
}

const MAX_ALLOWED_ROOMS = 100;

/**
 * Summarises a room; undefined for an unknown one.
 *
 * @param joined the number of joined users, if already known
 */
export async function summaryOf(rooms: RoomReader, roomId: string, joined?: number): Promise<RoomSummary | undefined> {
  const version = await rooms.version(roomId);
  if (!version) return undefined;
  const content = async (type: string): Promise<JsonObject | undefined> => {
    const event: StoredEvent | undefined = await rooms.stateEvent(roomId, type, '');
    return event?.pdu.content;
  };
  const [name, topic, avatar, alias, rules, visibility, guests, create, encryption] = await Promise.all(
    [
      'm.room.name',
      'm.room.topic',
      'm.room.avatar',
      'm.room.canonical_alias',
      'm.room.join_rules',
      'm.room.history_visibility',
      'm.room.guest_access',
      'm.room.create',
      'm.room.encryption',
    ].map(content),
  );
  const rule = text(rules, 'join_rule') ?? 'invite';
  const optional = {
    name: text(name, 'name'),
    topic: text(topic, 'topic'),
    avatar_url: text(avatar, 'url'),
    canonical_alias: text(alias, 'alias'),
    room_type: text(create, 'type'),
    encryption: text(encryption, 'algorithm'),
    allowed_room_ids: rule === 'restricted' || rule === 'knock_restricted' ? allowed(rules) : undefined,
  };
  return {
    room_id: roomId,
    num_joined_members: joined ?? (await rooms.joinedCount(roomId)),
    join_rule: rule,
    world_readable: text(visibility, 'history_visibility') === 'world_readable',
    guest_can_join: text(guests, 'guest_access') === 'can_join',
    room_version: version.id,
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as Partial<
      Record<keyof typeof optional, never>
    >),
  };
}

/** The rooms whose members may join. */
function allowed(rules: JsonObject | undefined): string[] {
  const list = member(rules, 'allow');
  if (!Array.isArray(list)) return [];
  return list
    .slice(0, MAX_ALLOWED_ROOMS)
    .filter((entry) => isJsonObject(entry) && member(entry, 'type') === 'm.room_membership')
    .map((entry) => (isJsonObject(entry) ? member(entry, 'room_id') : undefined))
    .filter((roomId) => typeof roomId === 'string');
}

/** A non-empty string member. */
function text(content: JsonObject | undefined, key: string): string | undefined {
  const value = member(content, key);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

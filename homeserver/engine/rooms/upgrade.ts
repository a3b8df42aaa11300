/**
 * Upgrades a room: creates a new one with the same settings, and a tombstone in the old one.
 *
 * @see Matrix specification, client-server API, "Room Upgrades"
 */
import { stateKey } from '../../../federation/auth-rules.ts';
import { creatorsOf, readLevel } from '../../../federation/power-levels.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import { MatrixError } from '../../base/errors.ts';
import { MEETING } from '../../base/names.ts';
import type { RoomReader } from './room-reader.ts';
import type { RoomWriter } from './room-writer.ts';
import type { StoredEvent } from './stored-event.ts';

export interface UpgradeOptions {
  readonly version: string;
  readonly additionalCreators?: readonly string[];
  /** Moves the local aliases of the room. */
  readonly moveAliases?: (from: string, to: string) => Promise<void>;
}

/** State copied to the new room as it is. */
const COPIED = [
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.encryption',
  'm.room.server_acl',
  'm.space.parent',
  MEETING,
];
/** State with many keys copied to the new room. */
const COPIED_WITH_KEYS = ['m.space.child'];

/** @returns the id of the new room @throws MatrixError 403 for somebody who may not send the tombstone */
export async function upgradeRoom(
  rooms: RoomReader,
  writer: RoomWriter,
  { userId, roomId: oldRoomId }: { userId: string; roomId: string },
  options: UpgradeOptions,
): Promise<string> {
  const version = roomVersion(options.version);
  if (!version) throw new MatrixError(400, 'M_UNSUPPORTED_ROOM_VERSION', 'This room version is not supported.');
  const state = await rooms.state(oldRoomId);
  const create = state.get(stateKey('m.room.create', ''));
  if (!create) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
  const levels = contentOf(state.get(stateKey('m.room.power_levels', '')));
  if ((await rooms.powerLevel(oldRoomId, userId)) < levelOfTombstone(levels)) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'You may not upgrade this room.');
  }

  const creators = new Set([userId, ...(options.additionalCreators ?? [])]);
  const initialState: { type: string; stateKey: string; content: JsonObject }[] = [];
  for (const event of state.values()) {
    const { type, state_key: key, content } = event.pdu;
    const copied = (COPIED.includes(type) && key === '') || COPIED_WITH_KEYS.includes(type);
    const banned = type === 'm.room.member' && member(content, 'membership') === 'ban';
    if (key !== undefined && copied && Object.keys(content).length > 0) {
      initialState.push({ type, stateKey: key, content });
    } else if (key !== undefined && banned && !creators.has(key)) {
      initialState.push({ type, stateKey: key, content: { membership: 'ban', ...reasonOf(content) } });
    }
  }
  const oldVersion = await rooms.version(oldRoomId);
  const wasCreator = oldVersion ? creatorsOf(create.pdu, oldVersion) : [];
  const users: JsonObject = { ...(isJsonObject(levels['users']) ? levels['users'] : {}) };
  if (version.privilegedCreators) for (const creator of creators) Reflect.deleteProperty(users, creator);
  else {
    // The creator of the old room needs an explicit power level where creators are not privileged.
    if (oldVersion?.privilegedCreators) for (const creator of wasCreator) users[creator] = 100;
    users[userId] = Math.max(100, readLevel(users[userId]) ?? 0);
  }
  const newLevels: JsonObject = { ...levels, users };
  if (version.privilegedCreators) newLevels['events'] = eventsForCreators(levels['events']);

  const newRoomId = await writer.create(userId, {
    roomVersion: version.id,
    creationContent: {
      ...kept(create.pdu.content),
      predecessor: { room_id: oldRoomId },
      ...(version.privilegedCreators && options.additionalCreators && options.additionalCreators.length > 0
        ? { additional_creators: [...options.additionalCreators] }
        : {}),
    },
    powerLevels: newLevels,
    initialState,
  });
  await writer.send(oldRoomId, userId, {
    type: 'm.room.tombstone',
    stateKey: '',
    content: { body: 'This room has been replaced', replacement_room: newRoomId },
  });
  await options.moveAliases?.(oldRoomId, newRoomId);
  await moveCanonicalAlias(writer, userId, oldRoomId, newRoomId, state.get(stateKey('m.room.canonical_alias', '')));
  await closeOld(writer, userId, oldRoomId, levels);
  return newRoomId;
}

/** What the new create event takes over from the old one. */
function kept(content: JsonObject): JsonObject {
  const keep: JsonObject = {};
  for (const key of ['type', 'm.federate']) {
    const value = member(content, key);
    if (value !== undefined) keep[key] = value;
  }
  return keep;
}

function levelOfTombstone(levels: JsonObject): number {
  const events = levels['events'];
  const own = isJsonObject(events) ? readLevel(member(events, 'm.room.tombstone')) : undefined;
  return own ?? readLevel(member(levels, 'state_default')) ?? 50;
}

/** In these versions only creators may upgrade a room, unless the old one allowed more users to. */
function eventsForCreators(events: unknown): JsonObject {
  const given = isJsonObject(events) ? { ...events } : {};
  const tombstone = readLevel(given['m.room.tombstone']) ?? 0;
  given['m.room.tombstone'] = Math.max(150, tombstone);
  return given;
}

async function moveCanonicalAlias(
  writer: RoomWriter,
  userId: string,
  from: string,
  to: string,
  event: StoredEvent | undefined,
): Promise<void> {
  if (!event || Object.keys(event.pdu.content).length === 0) return;
  const type = 'm.room.canonical_alias';
  await ignoreForbidden(writer.send(from, userId, { type, stateKey: '', content: {} }));
  await ignoreForbidden(writer.send(to, userId, { type, stateKey: '', content: event.pdu.content }));
}

/** Restricts the old room so that ordinary members cannot send any more. */
async function closeOld(writer: RoomWriter, userId: string, roomId: string, levels: JsonObject): Promise<void> {
  const restricted = Math.max((readLevel(member(levels, 'users_default')) ?? 0) + 1, 50);
  const raised: JsonObject = { ...levels };
  for (const name of ['events_default', 'invite']) {
    raised[name] = Math.max(readLevel(member(levels, name)) ?? 0, restricted);
  }
  await ignoreForbidden(writer.send(roomId, userId, { type: 'm.room.power_levels', stateKey: '', content: raised }));
}

async function ignoreForbidden(sending: Promise<unknown>): Promise<void> {
  await sending.catch((error: unknown) => {
    if (!(error instanceof MatrixError) || error.status !== 403) throw error;
  });
}

function contentOf(event: StoredEvent | undefined): JsonObject {
  return event?.pdu.content ?? {};
}

function reasonOf(content: JsonObject): JsonObject {
  const reason = member(content, 'reason');
  return typeof reason === 'string' ? { reason } : {};
}

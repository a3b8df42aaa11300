/** Creates rooms and sends events of local users. */
import { randomBytes } from 'node:crypto';
import { stateKey } from '../../../federation/auth-rules.ts';
import { eventId, isUserId } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { DEFAULT_ROOM_VERSION, roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { displayName, displayTitle } from '../../../protocol/display-text.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Database } from '../../database/database.ts';
import type { Positions } from '../stream/positions.ts';
import { createContent, firstEvents } from './create-room.ts';
import type { CreateRoomOptions } from './create-room.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { InTurn } from './in-turn.ts';
import type { LocalEvents, NewEvent } from './local-events.ts';
import type { Memberships } from './memberships.ts';
import type { MessageBatches } from './message-batches.ts';
import type { LocalRights } from './ports.ts';
import type { Room, RoomTable } from './room.ts';
import type { RoomTurns } from './room-turns.ts';
import type { StateChanges } from './state-changes.ts';
import type { StateStore } from './state-store.ts';

export interface RoomWriterDeps {
  readonly db: Database;
  readonly serverName: string;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly rooms: RoomTable;
  readonly changes: StateChanges;
  readonly positions: Positions;
  readonly local: LocalEvents;
  readonly batches: MessageBatches;
  readonly memberships: Memberships;
  readonly turns: RoomTurns;
  readonly inTurn: InTurn;
  /** Display name and avatar of a local user, as in a membership event. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly rights: LocalRights;
  readonly emit: (event: StoredEvent, info: { live: boolean }) => void;
}

export class RoomWriter {
  readonly #deps: RoomWriterDeps;
  /** When the last room was created here, Unix time in ms. */
  #lastCreation = 0;

  constructor(deps: RoomWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Creates a room and sends the invites. @returns the room id @throws MatrixError
   *
   * @returns the room id
   * @throws MatrixError
   */
  async create(sender: string, options: CreateRoomOptions): Promise<string> {
    const { serverName, local, turns, memberships } = this.#deps;
    await this.#deps.rights.require(sender, 'create');
    const version = roomVersion(options.roomVersion ?? DEFAULT_ROOM_VERSION);
    if (!version) throw new MatrixError(400, 'M_UNSUPPORTED_ROOM_VERSION', 'This room version is not supported.');
    for (const userId of options.invite ?? []) {
      if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', `${userId} is not a user id.`);
    }
    const opaque = `!${randomBytes(12).toString('base64url')}:${serverName}`;
    const create = local.sign({ version }, {
      type: 'm.room.create',
      state_key: '',
      sender,
      ...(version.hashRoomIds ? {} : { room_id: opaque }),
      content: createContent(sender, options, version),
      auth_events: [],
      prev_events: [],
      depth: 1,
      origin_server_ts: this.#creationTime(),
    } as UnsignedPdu);
    const createId = eventId(create, version);
    const roomId = version.hashRoomIds ? `!${createId.slice(1)}` : opaque;
    await turns.run(roomId, 'own', async () => {
      const room = await this.#begin(roomId, version, create, createId);
      await local.send(room, sender, {
        type: 'm.room.member',
        stateKey: sender,
        content: { ...(await this.#deps.profile(sender)), membership: 'join' },
      });
      for (const event of firstEvents(sender, options, version.privilegedCreators)) {
        await local.send(room, sender, event);
      }
    });
    for (const userId of options.invite ?? []) {
      await memberships.invite(roomId, sender, userId, options.isDirect === true ? { is_direct: true } : {});
    }
    return roomId;
  }

  async #begin(roomId: string, version: RoomVersion, create: Pdu, createId: string): Promise<Room> {
    const { db, events, states, rooms, changes, positions, emit } = this.#deps;
    const position = positions.take();
    try {
      const { room, event } = await db.transaction(async (tx) => {
        const before = await states.derive(tx, roomId, undefined, new Map());
        const state = await states.derive(tx, roomId, before, new Map([[stateKey('m.room.create', ''), createId]]));
        const stored: StoredEvent = {
          eventId: createId,
          roomId,
          pdu: create,
          position,
          rejected: false,
          softFailed: false,
          outlier: false,
          stateBefore: before.group,
          stateAfter: state.group,
        };
        await events.put(stored, tx);
        const begun: Room = { roomId, version, create, createId, extremities: [createId], state };
        await rooms.put(begun, tx);
        await changes.put(tx, roomId, position, [...state.map.keys()], before.map, state.map);
        return { room: begun, event: stored };
      });
      events.committed(event);
      rooms.committed(room);
      positions.settle(position);
      emit(event, { live: true });
      return room;
    } finally {
      positions.settle(position);
    }
  }

  /** Never the same ms twice: a room id is the hash of the create event, which may differ in nothing else. */
  #creationTime(): number {
    this.#lastCreation = Math.max(Date.now(), this.#lastCreation + 1);
    return this.#lastCreation;
  }

  /**
   * Sends an event of a local user. @throws MatrixError 403 when the auth rules forbid it, 404 for an unknown room
   *
   * @throws MatrixError 403 when the room's rules forbid it, 404 for no such room
   */
  async send(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent> {
    checkShown(event);
    const { batches, inTurn, local } = this.#deps;
    if (batches.takes(event)) return batches.send(roomId, sender, event);
    return inTurn(roomId, async (room) => local.send(room, sender, event));
  }
}

/**
 * @throws MatrixError 400 for a name or title without visible characters
 *
 * @throws MatrixError 400 for a name or a title that nobody can see
 */
function checkShown({ type, content }: NewEvent): void {
  const name = type === 'm.room.member' ? text(content, 'displayname') : undefined;
  const title = type === 'm.room.name' ? text(content, 'name') : undefined;
  if ((!name || displayName(name) !== undefined) && (!title || displayTitle(title) !== undefined)) return;
  throw new MatrixError(400, 'M_BAD_JSON', 'The name has no visible character. Choose another one.');
}

/** A string member of the content. */
function text(content: JsonObject, key: string): string | undefined {
  const value = member(content, key);
  return typeof value === 'string' ? value : undefined;
}

/** A room's current version, forward extremities and state. */
import { LRUCache } from 'lru-cache';
import { stateKey } from '../../../federation/auth-rules.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { Pdu } from '../../../federation/event.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Database, Tx } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import type { State, StateStore } from './state-store.ts';
import type { EventStore } from './event-store.ts';
import { signedForm } from './stored-event.ts';

export interface Room {
  readonly roomId: string;
  readonly version: RoomVersion;
  /** The create event, accepted. */
  readonly create: Pdu;
  readonly createId: string;
  /** The forward extremities: events that no accepted event references yet. */
  extremities: readonly string[];
  /** The current state: the state after the extremities. */
  state: State;
}

/** Cached state entries of all rooms. */
const CACHED_ENTRIES = 200_000;

export class RoomTable {
  readonly #db: Database;
  readonly #events: EventStore;
  readonly #states: StateStore;
  readonly #cache = new LRUCache<string, Room>({
    maxSize: CACHED_ENTRIES,
    // A room larger than the limit is cached as well, alone.
    sizeCalculation: ({ state }) => Math.min(state.map.size + 1, CACHED_ENTRIES),
  });

  constructor(db: Database, events: EventStore, states: StateStore) {
    this.#db = db;
    this.#events = events;
    this.#states = states;
  }

  /** The room, if this server is or was in it. */
  async find(roomId: string): Promise<Room | undefined> {
    const cached = this.#cache.get(roomId);
    if (cached) return cached;
    const [row] = await this.#db.query<{
      version: string;
      create_event: string;
      extremities: string[];
      state_group: number;
    }>('SELECT version, create_event, extremities, state_group FROM rooms WHERE room_id = $1', [roomId]);
    const version = row && roomVersion(row.version);
    if (!row || !version) return undefined;
    const create = await this.#events.get(row.create_event);
    if (!create) throw new Error(`The create event of ${roomId} is missing.`);
    const loaded: Room = {
      roomId,
      version,
      create: signedForm(create),
      createId: row.create_event,
      extremities: row.extremities,
      state: await this.#states.read(row.state_group),
    };
    // Concurrent requests may have loaded it twice; there must be one object.
    const other = this.#cache.get(roomId);
    if (other) return other;
    this.#cache.set(roomId, loaded);
    return loaded;
  }

  /** The room. @throws MatrixError 404 when this server never had it */
  async require(roomId: string): Promise<Room> {
    const room = await this.find(roomId);
    if (!room) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    return room;
  }

  /** Writes a new room. */
  async put(room: Room, tx: Tx): Promise<void> {
    await writeTogether(this.#db, [this.write(room)], tx);
  }

  /** Writes a room that is joined, for the first time or again, with the state from another server. */
  async enter(room: Room, joinId: string, tx: Tx): Promise<void> {
    await this.put(room, tx);
    await this.#db.query('UPDATE rooms SET entered_by = $2 WHERE room_id = $1', [room.roomId, joinId], tx);
  }

  /** The writes of `put`. */
  write(room: Room): Write {
    return {
      sql: `INSERT INTO rooms (room_id, version, create_event, extremities, state_group, created_at)
       VALUES ($1, $2, $3, $4, $5, $6)
       ON CONFLICT (room_id) DO UPDATE SET extremities = excluded.extremities, state_group = excluded.state_group`,
      params: [room.roomId, room.version.id, room.createId, room.extremities, room.state.group, Date.now()],
    };
  }

  /** To be called after the commit of `put` or `enter`. */
  committed(room: Room): void {
    this.#cache.set(room.roomId, room);
  }
}

/** The id of a current state event. */
export function currentId(room: Room, type: string, key: string): string | undefined {
  return room.state.map.get(stateKey(type, key));
}

/**
 * Changes of device lists: recorded for the syncs of users who share a room, and sent to other servers in these rooms.
 *
 * @see Matrix specification, client-server API, "Tracking the device list for a user"
 * @see Matrix specification, server-server API, "Device Management"
 */
import { serverOf } from '../../../federation/identifiers.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database, Tx } from '../../database/database.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import { Serial } from '../../base/serial.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import { Newest } from '../../engine/stream/newest.ts';
import type { Positions } from '../../engine/stream/positions.ts';

export interface DeviceListsOptions {
  readonly db: Database;
  readonly serverName: string;
  readonly rooms: Pick<RoomReader, 'events' | 'joinedServers'>;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
}

/** Records, in the transaction of a change, what has changed. */
export interface Noting {
  /** For everybody who shares a room with the user. */
  changed(tx: Tx): Promise<void>;
  /** For this user only: device lists of others changed. */
  changedFor(tx: Tx, others: readonly string[]): Promise<void>;
  /** For other servers: a device changed; `content` is its part of the EDU. */
  device(tx: Tx, deviceId: string, content: JsonObject): Promise<void>;
  /** For other servers: the cross-signing keys changed. */
  signingKeys(tx: Tx, content: JsonObject): Promise<void>;
}

/** How many stream positions single changes are kept, for `/keys/changes`. */
const KEPT_POSITIONS = 100_000;

export class DeviceLists {
  readonly #options: DeviceListsOptions;
  readonly #serial = new Serial();
  /** The newest recorded change. */
  readonly newest: Newest;

  constructor(options: DeviceListsOptions) {
    this.#options = options;
    this.newest = new Newest(options.positions.current);
  }

  /** Runs a change of a user's devices or keys, serialised by user, and announces it once it is committed. */
  async change<T>(userId: string, run: (note: Noting) => Promise<T>): Promise<T> {
    return this.#serial.run(userId, async () => {
      const { positions, notifier, sender } = this.#options;
      let taken: number | undefined;
      const position = (): number => (taken ??= positions.take());
      const destinations = new Set<string>();
      let told = false;
      const note: Noting = {
        changed: async (tx) => {
          told = true;
          await this.#note(tx, position(), [userId], undefined);
        },
        changedFor: async (tx, others) => {
          told = true;
          await this.#note(tx, position(), others, userId);
        },
        device: async (tx, deviceId, content) => {
          const servers = await this.#servers(userId, tx);
          const stream = await this.#nextStream(tx, userId, position());
          const update = { user_id: userId, device_id: deviceId, stream_id: stream.id, prev_id: stream.previous };
          // A server that misses one fetches the whole list.
          await sender.durableEdu(tx, servers, 'm.device_list_update', { ...update, ...content }, `devices ${userId}`);
          for (const server of servers) destinations.add(server);
        },
        signingKeys: async (tx, content) => {
          const servers = await this.#servers(userId, tx);
          const update = { user_id: userId, ...content };
          await sender.durableEdu(tx, servers, 'm.signing_key_update', update, `signing keys ${userId}`);
          for (const server of servers) destinations.add(server);
        },
      };
      try {
        return await run(note);
      } finally {
        if (taken !== undefined) positions.settle(taken);
        sender.flush([...destinations]);
        if (told) notifier.wakeUsers([userId, ...(await this.#localSharing(userId))]);
      }
    });
  }

  /**
   * Deletes old changes that newer ones of the same user supersede: whoever has not seen the old one will see the
   * newer.
   */
  async cleanUp(): Promise<void> {
    const { db, positions } = this.#options;
    await db.query(
      `DELETE FROM device_list_changes old USING device_list_changes newer
       WHERE old.position < $1 AND newer.user_id = old.user_id AND newer.position > old.position
         AND newer.audience IS NOT DISTINCT FROM old.audience`,
      [positions.current - KEPT_POSITIONS],
    );
  }

  /** The `stream_id` of the last EDU about a local user; 0 before the first. */
  async streamId(userId: string): Promise<number> {
    const [row] = await this.#options.db.query<{ stream_id: number }>(
      'SELECT stream_id FROM device_list_streams WHERE user_id = $1',
      [userId],
    );
    return row?.stream_id ?? 0;
  }

  /**
   * Announces a local user's devices to servers that newly share a room with the user.
   *
   * @param event a newly accepted membership event
   * @param devices the user's devices, each with its part of the EDU
   */
  async announceTo(event: StoredEvent, devices: () => Promise<Map<string, JsonObject>>): Promise<void> {
    const { db, rooms, serverName } = this.#options;
    const userId = event.pdu.state_key ?? '';
    const inside = await rooms.joinedServers(event.roomId);
    inside.delete(serverName);
    if (inside.size === 0 || !(await this.#hasEntered(event))) return;
    const rows = await db.query<{ server: string }>(
      `SELECT server FROM unnest($3::text[]) AS here (server)
         WHERE NOT EXISTS (
           SELECT 1 FROM room_members own JOIN room_members other ON other.room_id = own.room_id
           WHERE own.user_id = $2 AND own.membership = 'join' AND own.room_id <> $1
             AND other.server = here.server AND other.membership = 'join')`,
      [event.roomId, userId, [...inside]],
    );
    await this.announce(
      userId,
      rows.map((row) => row.server),
      devices,
    );
  }

  /** Announces the devices of a local user to servers. */
  async announce(
    userId: string,
    servers: readonly string[],
    devices: () => Promise<Map<string, JsonObject>>,
  ): Promise<void> {
    const { db, sender } = this.#options;
    if (servers.length === 0) return;
    await this.#serial.run(userId, async () => {
      const all = await devices();
      if (all.size === 0) return;
      const streamId = await this.streamId(userId);
      await db.transaction(async (tx) => {
        for (const [deviceId, content] of all) {
          await sender.durableEdu(tx, servers, 'm.device_list_update', {
            user_id: userId,
            device_id: deviceId,
            stream_id: streamId,
            prev_id: [],
            ...content,
          });
        }
      });
      sender.flush(servers);
    });
  }

  /** Whether a membership event is a new join, and not a change of name. */
  async #hasEntered(event: StoredEvent): Promise<boolean> {
    const { db, rooms } = this.#options;
    if (member(event.pdu.content, 'membership') !== 'join') return false;
    const [row] = await db.query<{ previous: string | null }>(
      'SELECT previous FROM state_changes WHERE event_id = $1 ORDER BY position LIMIT 1',
      [event.eventId],
    );
    if (!row || row.previous === null) return row !== undefined;
    const previous = (await rooms.events([row.previous])).get(row.previous);
    return member(previous?.pdu.content, 'membership') !== 'join';
  }

  async #note(tx: Tx, position: number, userIds: readonly string[], audience: string | undefined): Promise<void> {
    this.newest.note(position);
    await this.#options.db.query(
      `INSERT INTO device_list_changes (position, user_id, audience) SELECT $1, unnest($2::text[]), $3
       ON CONFLICT DO NOTHING`,
      [position, [...new Set(userIds)], audience ?? null],
      tx,
    );
  }

  async #nextStream(tx: Tx, userId: string, position: number): Promise<{ id: number; previous: number[] }> {
    const { db } = this.#options;
    const [row] = await db.query<{ stream_id: number }>(
      'SELECT stream_id FROM device_list_streams WHERE user_id = $1 FOR UPDATE',
      [userId],
      tx,
    );
    // Several EDUs may share one position.
    const id = Math.max(position, (row?.stream_id ?? 0) + 1);
    await db.query(
      `INSERT INTO device_list_streams (user_id, stream_id) VALUES ($1, $2)
       ON CONFLICT (user_id) DO UPDATE SET stream_id = excluded.stream_id`,
      [userId, id],
      tx,
    );
    return { id, previous: row ? [row.stream_id] : [] };
  }

  /** Other servers that share a room with a user. */
  async #servers(userId: string, tx: Tx): Promise<string[]> {
    const rows = await this.#options.db.query<{ server: string }>(
      `SELECT DISTINCT other.server FROM room_members own JOIN room_members other ON other.room_id = own.room_id
       WHERE own.user_id = $1 AND own.membership = 'join' AND other.membership = 'join' AND other.server <> $2
       UNION SELECT unnest(i.servers) FROM room_members own JOIN incomplete_rooms i ON i.room_id = own.room_id
       WHERE own.user_id = $1 AND own.membership = 'join' AND i.open AND i.members_omitted`,
      [userId, this.#options.serverName],
      tx,
    );
    return rows.map((row) => row.server);
  }

  /** Local users who share a room with a user. */
  async #localSharing(userId: string): Promise<string[]> {
    const { db, serverName } = this.#options;
    const rows = await db.query<{ user_id: string }>(
      `SELECT DISTINCT other.user_id FROM room_members own JOIN room_members other ON other.room_id = own.room_id
       WHERE own.user_id = $1 AND own.membership = 'join' AND other.membership = 'join' AND other.server = $2`,
      [userId, serverName],
    );
    return rows.map((row) => row.user_id);
  }

  /** Whether a user is local. */
  isLocal(userId: string): boolean {
    return serverOf(userId) === this.#options.serverName;
  }
}

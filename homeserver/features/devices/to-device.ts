/**
 * To-device messages. Each is kept, across restarts, until the device has acknowledged it; those for other servers go
 * into the durable queue.
 *
 * @see Matrix specification, client-server API, "Send-to-Device messaging"
 */
import { randomBytes } from 'node:crypto';
import { isUserId, serverOf } from '../../../federation/identifiers.ts';
import { canonicalJsonWithAnyNumbers, parseWithAnyNumbers } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database, Tx } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import {
  TO_DEVICE_BYTES,
  TO_DEVICE_WAITING,
  TO_DEVICE_WAITING_BYTES,
  TO_DEVICE_WAITING_OF_SENDER,
} from '../../base/limits.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import type { Visibility } from '../../engine/visibility.ts';
import type { LocalDevices } from './local-devices.ts';
import { directToDeviceSchema } from './schemas.ts';

export interface ToDeviceOptions {
  readonly db: Database;
  readonly serverName: string;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly devices: LocalDevices;
  readonly visibility: Visibility;
  /** Whether a local user is suspended, and may only send to their own devices. */
  readonly isSuspended: (userId: string) => Promise<boolean>;
  /**
   * @throws MatrixError when the requesting user must not send anything to that server
   *
   * @throws MatrixError when nobody of that server is to hear of whoever is served now
   */
  readonly requireMayReach: (server: string) => Promise<void>;
  /** Called when messages are dropped because a device has too many queued. */
  readonly onDropped?: (messages: number) => void;
}

/** Contents by user and device; `*` stands for all devices of the user. */
export type Messages = Record<string, Record<string, JsonObject>>;

interface Row {
  position: number;
  sender: string;
  type: string;
  content: string;
}

/** Most messages in one `/sync` response. */
const MAX_AT_ONCE = 100;
/** How long transaction ids of clients are remembered, in ms. */
const REMEMBERED_MS = 24 * 60 * 60 * 1000;
/** Message ids of servers are remembered longer: servers retry for much longer than clients. */
const RECEIVED_REMEMBERED_MS = 30 * REMEMBERED_MS;

export class ToDevice {
  readonly #options: ToDeviceOptions;

  constructor(options: ToDeviceOptions) {
    this.#options = options;
  }

  /**
   * Sends messages of a local device, once per transaction id. Those to users of whom the sender may not know are dropped,
   * as those to nobody.
   *
   * @throws MatrixError 413 for a message that is too large, 403 for a suspended user who sends to others, or a
   *   guest who sends to servers with which they share no room
   */
  async send(
    from: { readonly userId: string; readonly deviceId: string },
    type: string,
    transactionId: string,
    messages: Messages,
  ): Promise<void> {
    const { db, serverName, sender } = this.#options;
    // Suspended users may still verify their own devices.
    if (
      Object.keys(messages).some((userId) => userId !== from.userId) &&
      (await this.#options.isSuspended(from.userId))
    ) {
      throw new MatrixError(403, 'M_USER_SUSPENDED', 'Your account is suspended: you can read, but not send.');
    }
    const seen = await this.#options.visibility.seenBy(from.userId, Object.keys(messages));
    const local: Messages = {};
    const remote = new Map<string, Messages>();
    for (const [userId, devices] of Object.entries(messages)) {
      if (!isUserId(userId) || !seen.has(userId)) continue;
      const server = serverOf(userId);
      const ofServer = server === serverName ? local : (remote.get(server) ?? {});
      ofServer[userId] = devices;
      if (ofServer !== local) remote.set(server, ofServer);
    }
    await Promise.all([...remote.keys()].map((server) => this.#options.requireMayReach(server)));
    const edus = [...remote].flatMap(([server, content]) =>
      inParts(content).map((part) => ({
        server,
        content: {
          sender: from.userId,
          type,
          message_id: randomBytes(16).toString('base64url'),
          messages: part,
        },
      })),
    );
    for (const devices of Object.values(local)) for (const content of Object.values(devices)) sizeOf(content);
    const sent = await this.#deliver(from.userId, type, local, async (tx) => {
      const fresh = await db.query(
        `INSERT INTO to_device_sent (user_id, device_id, scope, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING scope`,
        [from.userId, from.deviceId, `${type}/${transactionId}`, Date.now()],
        tx,
      );
      if (fresh.length === 0) return false;
      for (const { server, content } of edus) await sender.durableEdu(tx, [server], 'm.direct_to_device', content);
      return true;
    });
    if (sent) sender.flush([...remote.keys()]);
  }

  /** Handles `m.direct_to_device` of another server. Malformed messages, and those not from its users, are ignored. */
  async onDirectToDevice(origin: string, content: JsonObject): Promise<void> {
    const parsed = directToDeviceSchema.safeParse(content);
    if (!parsed.success) return;
    const { sender, type, message_id: messageId, messages } = parsed.data;
    const { db, serverName } = this.#options;
    if (serverOf(sender) !== origin) return;
    const local: Messages = {};
    for (const [userId, devices] of Object.entries(messages)) {
      if (isUserId(userId) && serverOf(userId) === serverName) local[userId] = devices;
    }
    await this.#deliver(sender, type, local, async (tx) => {
      const fresh = await db.query(
        `INSERT INTO to_device_received (origin, message_id, received_at) VALUES ($1, $2, $3)
           ON CONFLICT DO NOTHING RETURNING origin`,
        [origin, messageId, Date.now()],
        tx,
      );
      return fresh.length > 0;
    });
  }

  /**
   * The queued messages of a device, oldest first, as many as fit into one response.
   *
   * @param since the token of the device: messages up to it are acknowledged and deleted
   * @param upTo the token of the response
   */
  async take(userId: string, deviceId: string, since: number | undefined, upTo: number): Promise<JsonObject[]> {
    let rows = await this.#waiting(userId, deviceId, upTo);
    const [first] = rows;
    if (!first) return [];
    if (since !== undefined && first.position <= since) {
      await this.#acknowledge(userId, deviceId, since);
      rows = await this.#waiting(userId, deviceId, upTo);
    }
    const told = rows.slice(0, MAX_AT_ONCE);
    const last = told.at(-1);
    // The token covers more than was sent; how much was sent is recorded.
    if (last && rows.length > told.length) await this.#cut(userId, deviceId, upTo, last.position);
    return told.map(shown);
  }

  /**
   * A page of the queued messages of a device, without deleting any.
   *
   * @param after a position; 0 for the first page
   * @returns the messages, and the position after which the next page begins
   */
  async page(userId: string, deviceId: string, after: number): Promise<{ events: JsonObject[]; position: number }> {
    const rows = await this.#options.db.query<Row>(
      `SELECT position, sender, type, content FROM to_device WHERE user_id = $1 AND device_id = $2
         AND position > $3 AND position <= $4 ORDER BY position LIMIT ${String(MAX_AT_ONCE)}`,
      [userId, deviceId, after, this.#options.positions.current],
    );
    return { events: rows.map(shown), position: rows.at(-1)?.position ?? after };
  }

  /** Deletes the queue of a deleted device. */
  async remove(tx: Tx, userId: string, deviceId: string): Promise<void> {
    for (const table of ['to_device', 'to_device_cuts', 'to_device_sent']) {
      await this.#options.db.query(
        `DELETE FROM ${table} WHERE user_id = $1 AND device_id = $2`,
        [userId, deviceId],
        tx,
      );
    }
  }

  /** Deletes expired transaction and message ids. */
  async cleanUp(): Promise<void> {
    const { db } = this.#options;
    await db.query('DELETE FROM to_device_sent WHERE created_at < $1', [Date.now() - REMEMBERED_MS]);
    await db.query('DELETE FROM to_device_received WHERE received_at < $1', [Date.now() - RECEIVED_REMEMBERED_MS]);
  }

  /**
   * Queues messages for local devices and wakes their users. Above the limits for a device that does not sync, messages
   * are dropped and counted, so that nobody can fill the database; the sender cannot be notified.
   *
   * @param first runs in the same transaction; when it returns false, nothing is stored
   * @returns the result of `first`
   */
  async #deliver(
    sender: string,
    type: string,
    messages: Messages,
    first: (tx: Tx) => Promise<boolean>,
  ): Promise<boolean> {
    const { db, positions, notifier } = this.#options;
    const columns: [string[], string[], string[]] = [[], [], []];
    for (const [userId, devices] of await this.#options.devices.of(Object.keys(messages))) {
      for (const deviceId of devices.keys()) {
        const content = own(messages[userId], deviceId) ?? own(messages[userId], '*');
        if (content === undefined) continue;
        columns[0].push(userId);
        columns[1].push(deviceId);
        columns[2].push(canonicalJsonWithAnyNumbers(content));
      }
    }
    let dropped = 0;
    const done = await positions.with((position) =>
      db.transaction(async (tx) => {
        if (!(await first(tx))) return false;
        if (columns[0].length === 0) return true;
        const stored = await db.query(
          `INSERT INTO to_device (user_id, device_id, position, sender, type, content)
           SELECT new.user_id, new.device_id, $1, $2, $3, new.content
           FROM unnest($4::text[], $5::text[], $6::text[]) AS new (user_id, device_id, content)
           CROSS JOIN LATERAL (
             SELECT count(*) AS messages, count(*) FILTER (WHERE sender = $2) AS of_sender,
               coalesce(sum(octet_length(content)), 0) AS bytes
             FROM to_device w WHERE w.user_id = new.user_id AND w.device_id = new.device_id) AS waiting
           WHERE messages < $7 AND of_sender < $8 AND bytes + octet_length(new.content) <= $9
           RETURNING position`,
          [position, sender, type, ...columns, TO_DEVICE_WAITING, TO_DEVICE_WAITING_OF_SENDER, TO_DEVICE_WAITING_BYTES],
          tx,
        );
        dropped = columns[0].length - stored.length;
        return true;
      }),
    );
    if (dropped > 0) this.#options.onDropped?.(dropped);
    if (done) notifier.wakeUsers(new Set(columns[0]));
    return done;
  }

  async #waiting(userId: string, deviceId: string, upTo: number): Promise<Row[]> {
    return this.#options.db.query<Row>(
      `SELECT position, sender, type, content FROM to_device
       WHERE user_id = $1 AND device_id = $2 AND position <= $3 ORDER BY position LIMIT ${String(MAX_AT_ONCE + 1)}`,
      [userId, deviceId, upTo],
    );
  }

  async #acknowledge(userId: string, deviceId: string, since: number): Promise<void> {
    const { db } = this.#options;
    await db.query(
      `DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 AND position <= coalesce(
         (SELECT position FROM to_device_cuts WHERE user_id = $1 AND device_id = $2 AND token = $3), $3)`,
      [userId, deviceId, since],
    );
    await db.query('DELETE FROM to_device_cuts WHERE user_id = $1 AND device_id = $2 AND token < $3', [
      userId,
      deviceId,
      since,
    ]);
  }

  async #cut(userId: string, deviceId: string, token: number, position: number): Promise<void> {
    const { db, positions } = this.#options;
    // The next response must have another token, or it would be unclear which of the two was received.
    positions.settle(positions.take());
    // Responses to repeated requests may have the same token; what one of them left out was not received.
    await db.query(
      `INSERT INTO to_device_cuts AS old (user_id, device_id, token, position) VALUES ($1, $2, $3, $4)
       ON CONFLICT (user_id, device_id, token) DO UPDATE SET position = least(old.position, excluded.position)`,
      [userId, deviceId, token, position],
    );
  }
}

function shown(row: Row): JsonObject {
  return { sender: row.sender, type: row.type, content: parseWithAnyNumbers(row.content) };
}

function own(contents: Record<string, JsonObject> | undefined, deviceId: string): JsonObject | undefined {
  return contents !== undefined && Object.hasOwn(contents, deviceId) ? contents[deviceId] : undefined;
}

/** Splits messages into parts that each fit into one EDU. @throws MatrixError 413 @throws MatrixError 413 */
function inParts(messages: Messages): Messages[] {
  const parts: Messages[] = [];
  let part: Messages = {};
  let bytes = 0;
  for (const [userId, devices] of Object.entries(messages)) {
    for (const [deviceId, content] of Object.entries(devices)) {
      const size = sizeOf(content) + userId.length + deviceId.length;
      if (bytes + size > TO_DEVICE_BYTES) {
        parts.push(part);
        part = {};
        bytes = 0;
      }
      bytes += size;
      part[userId] = { ...part[userId], [deviceId]: content };
    }
  }
  if (bytes > 0) parts.push(part);
  return parts;
}

/** The size of a message in bytes. @throws MatrixError 413 when it is too large @throws MatrixError 413 for too many */
function sizeOf(content: JsonObject): number {
  const bytes = Buffer.byteLength(canonicalJsonWithAnyNumbers(content));
  if (bytes <= TO_DEVICE_BYTES) return bytes;
  throw new MatrixError(413, 'M_TOO_LARGE', `A to-device message may have at most ${String(TO_DEVICE_BYTES)} bytes.`);
}

/**
 * Delayed events: sent after a delay unless the client restarts it, so that a client that crashes leaves a call.
 *
 * @see MSC4140
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { canonicalJson, isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { DELAY_MS, DELAYED_EVENTS } from '../../base/limits.ts';
import type { NewEvent, Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';

export interface DelayedEvent {
  readonly delayId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly roomId: string;
  readonly type: string;
  readonly stateKey?: string;
  readonly content: JsonObject;
  readonly stickyMs?: number;
  readonly delayMs: number;
  /** When the delay was last started, Unix time in ms. */
  readonly runningSince: number;
}

export type DelayedAction = 'send' | 'restart' | 'cancel';

export interface DelayedEventsOptions {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly log: Logger;
  /** The clock, Unix time in ms. */
  readonly now?: () => number;
}

interface Row {
  delay_id: string;
  user_id: string;
  device_id: string;
  room_id: string;
  type: string;
  state_key: string | null;
  content: string;
  sticky_ms: number | null;
  delay_ms: number;
  running_since: number;
  send_at: number;
}

/** Pause after a transient failure, in ms. */
const RETRY_MS = 5_000;
/** Most events sent in one run. */
const BATCH = 100;
/** Longest timer, in ms, so that changes of the clock are noticed; timers are limited to 24.8 days anyway. */
const LONGEST_WAIT_MS = 60_000;

export class DelayedEvents {
  readonly #options: DelayedEventsOptions;
  readonly #now: () => number;
  readonly #stopListening: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, Unix time in ms. */
  #wakesAt = Infinity;
  #closed = false;
  /** Whether any delayed event has existed: most servers need not check every state event. */
  #used = false;
  /** Serialises all operations, so that nothing is sent twice. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: DelayedEventsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#stopListening = options.rooms.onEvent((event, { live }) => {
      if (live && event.pdu.state_key !== undefined && !event.outlier) this.#onState(event);
    });
  }

  /** Sends what became due while the server was down, and starts the timer. */
  async start(): Promise<void> {
    await this.#inTurn(() => this.#sendDue());
    await this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stopListening();
    await this.#turn.catch(() => undefined);
  }

  /**
   * Schedules an event of a local user.
   *
   * @param delayMs an integer, in ms
   * @returns the delay id, by which the event can be sent, restarted or cancelled; the same for the same transaction
   * @throws MatrixError 400 when the delay is too long or there are too many events, 403 for somebody outside the room
   */
  async add(roomId: string, userId: string, event: NewEvent & { deviceId: string }, delayMs: number): Promise<string> {
    const { db, rooms } = this.#options;
    const earlier = await this.#earlier(roomId, userId, event);
    if (earlier !== undefined) return earlier;
    if (delayMs > DELAY_MS) {
      throw refused('M_MAX_DELAY_EXCEEDED', 'The delay is too long.', { 'org.matrix.msc4140.max_delay': DELAY_MS });
    }
    if ((await rooms.membership(roomId, userId)) !== 'join') {
      throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    }
    const [counted] = await db.query<{ count: number }>(
      'SELECT count(*) AS count FROM delayed_events WHERE user_id = $1',
      [userId],
    );
    if ((counted?.count ?? 0) >= DELAYED_EVENTS) {
      throw refused('M_MAX_DELAYED_EVENTS_EXCEEDED', 'You have too many delayed events.');
    }
    this.#used = true;
    const delayId = `hsd_${randomBytes(18).toString('base64url')}`;
    const since = this.#now();
    const rows = await db.query(
      `INSERT INTO delayed_events (delay_id, user_id, device_id, room_id, type, state_key, content, delay_ms,
         running_since, send_at, transaction_id, sticky_ms)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING RETURNING delay_id`,
      [
        delayId,
        userId,
        event.deviceId,
        roomId,
        event.type,
        event.stateKey ?? null,
        canonicalJson(event.content),
        delayMs,
        since,
        since + delayMs,
        event.transactionId ?? null,
        event.stickyMs ?? null,
      ],
    );
    // Concurrent requests with the same transaction id.
    if (rows.length === 0) return (await this.#earlier(roomId, userId, event)) ?? delayId;
    this.#wake(since + delayMs);
    return delayId;
  }

  /** The delayed events of a user, by due time. */
  async list(userId: string): Promise<DelayedEvent[]> {
    const rows = await this.#options.db.query<Row>(
      'SELECT * FROM delayed_events WHERE user_id = $1 ORDER BY send_at, running_since, delay_id',
      [userId],
    );
    return rows.map(delayed);
  }

  /**
   * Sends an event at once, restarts its delay, or cancels it. The delay id is sufficient authorisation.
   *
   * @throws MatrixError 404 for an unknown delay id; errors of sending
   */
  async act(delayId: string, action: DelayedAction): Promise<void> {
    await this.#inTurn(async () => {
      const { db } = this.#options;
      if (action === 'send') {
        const [row] = await db.query<Row>('SELECT * FROM delayed_events WHERE delay_id = $1', [delayId]);
        if (!row) throw notFound();
        await this.#send(row);
        return;
      }
      const now = this.#now();
      const rows = await db.query<{ send_at: number }>(
        action === 'cancel'
          ? 'DELETE FROM delayed_events WHERE delay_id = $1 RETURNING send_at'
          : `UPDATE delayed_events SET running_since = $2::bigint, send_at = $2::bigint + delay_ms
             WHERE delay_id = $1 RETURNING send_at`,
        action === 'cancel' ? [delayId] : [delayId, now],
      );
      const [row] = rows;
      if (!row) throw notFound();
      if (action === 'restart') this.#wake(row.send_at);
    });
  }

  async #earlier(roomId: string, userId: string, event: NewEvent & { deviceId: string }): Promise<string | undefined> {
    if (event.transactionId === undefined) return undefined;
    const [row] = await this.#options.db.query<{ delay_id: string }>(
      `SELECT delay_id FROM delayed_events
       WHERE user_id = $1 AND device_id = $2 AND room_id = $3 AND type = $4 AND transaction_id = $5`,
      [userId, event.deviceId, roomId, event.type, event.transactionId],
    );
    return row?.delay_id;
  }

  /** Another user set the state that a delayed event would have set: it is cancelled. */
  #onState({ roomId, pdu }: StoredEvent): void {
    if (!this.#used) return;
    this.#options.db
      .query('DELETE FROM delayed_events WHERE room_id = $1 AND type = $2 AND state_key = $3 AND user_id <> $4', [
        roomId,
        pdu.type,
        pdu.state_key,
        pdu.sender,
      ])
      .catch((error: unknown) => this.#options.log.warn({ err: error, roomId }, 'delayed events were not cancelled'));
  }

  async #sendDue(): Promise<void> {
    for (;;) {
      const rows = await this.#options.db.query<Row>(
        'SELECT * FROM delayed_events WHERE send_at <= $1 ORDER BY send_at, running_since, delay_id LIMIT $2',
        [this.#now(), BATCH],
      );
      for (const row of rows) {
        if (this.#closed) return;
        await this.#send(row).catch((error: unknown) => {
          if (!(error instanceof MatrixError)) throw error;
          const { errcode } = error;
          this.#options.log.info({ roomId: row.room_id, errcode }, 'a delayed event was refused by the room');
        });
      }
      if (rows.length < BATCH) return;
    }
  }

  /** Sends an event and deletes it. Its transaction id keeps a retry after a crash from sending it twice. */
  async #send(row: Row): Promise<void> {
    const { rooms, db } = this.#options;
    const event = delayed(row);
    const forget = (): Promise<unknown> => db.query('DELETE FROM delayed_events WHERE delay_id = $1', [row.delay_id]);
    try {
      await rooms.send(event.roomId, event.userId, {
        type: event.type,
        content: event.content,
        ...(event.stickyMs === undefined ? {} : { stickyMs: event.stickyMs }),
        ...(event.stateKey === undefined ? {} : { stateKey: event.stateKey }),
        transactionId: event.delayId,
        deviceId: event.deviceId,
      });
    } catch (error) {
      // A refusal by the room is final; any other failure may be transient.
      if (error instanceof MatrixError) await forget();
      throw error;
    }
    await forget();
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task, task);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Sets the timer for the next due event. */
  async #schedule(): Promise<void> {
    // Before the query: what is added meanwhile sets the timer itself.
    this.#wakesAt = Infinity;
    const [row] = await this.#options.db.query<{ next: number | null }>(
      'SELECT min(send_at) AS next FROM delayed_events',
    );
    if (typeof row?.next !== 'number') return;
    this.#used = true;
    this.#wake(row.next);
  }

  /** Makes the timer fire no later than a given time. */
  #wake(at: number): void {
    if (this.#closed || at >= this.#wakesAt) return;
    this.#wakesAt = at;
    clearTimeout(this.#timer);
    const wait = Math.min(Math.max(0, at - this.#now()), LONGEST_WAIT_MS);
    this.#timer = setTimeout(() => {
      this.#inTurn(() => this.#sendDue())
        .then(() => this.#schedule())
        .catch((error: unknown) => {
          this.#options.log.warn({ err: error }, 'delayed events could not be sent');
          this.#wakesAt = Infinity;
          this.#wake(this.#now() + RETRY_MS);
        });
    }, wait);
  }
}

function delayed(row: Row): DelayedEvent {
  const content = parseStrict(row.content);
  return {
    delayId: row.delay_id,
    userId: row.user_id,
    deviceId: row.device_id,
    roomId: row.room_id,
    type: row.type,
    ...(row.state_key === null ? {} : { stateKey: row.state_key }),
    content: isJsonObject(content) ? content : {},
    ...(row.sticky_ms === null ? {} : { stickyMs: row.sticky_ms }),
    delayMs: row.delay_ms,
    runningSince: row.running_since,
  };
}

function notFound(): MatrixError {
  return new MatrixError(404, 'M_NOT_FOUND', 'No delayed event with this id exists.');
}

/** As long as the MSC is not merged, its error codes are in a separate field. */
function refused(errcode: string, message: string, extra: Record<string, unknown> = {}): MatrixError {
  return new MatrixError(400, 'M_UNKNOWN', message, { 'org.matrix.msc4140.errcode': errcode, ...extra });
}

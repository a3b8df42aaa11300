/**
 * Events that could not be placed because what they depend on could not be fetched. Their sender counts them as
 * delivered, and the next event of the room may be long in coming: the deepest events of each server in a room are
 * retried with exponential back-off, the deepest first, because it may bring the others.
 */
import type { Logger } from 'pino';
import { BadEventError } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';

/** The first pause between retries, in ms; it doubles up to the last. */
const FIRST_PAUSE_MS = 5_000;
const LAST_PAUSE_MS = 60 * 60 * 1000;
/** After so many tries, some two days, an event is given up. */
const TRIES = 56;
/** Events kept for each server in a room. */
const KEPT = 20;
/** How many pairs of room and server are retried in one run, and how many of them concurrently. */
const READ_AT_ONCE = 50;
const TRIED_AT_ONCE = 5;

export interface UnplacedEventsDeps {
  readonly db: Database;
  /**
   * Processes an event whose format and signatures are verified. @throws UnknownPlaceError when it still cannot be
   * placed
   *
   * @throws UnknownPlaceError when it is still too early
   */
  readonly take: (roomId: string, pdu: Pdu, origin: string) => Promise<unknown>;
  readonly log: Logger;
}

export interface UnplacedEvent {
  readonly eventId: string;
  readonly roomId: string;
  /** The server that sent it. */
  readonly origin: string;
  readonly pdu: Pdu;
}

interface Row {
  room_id: string;
  origin: string;
  event_id: string;
  json: string;
  tries: number;
}

export class UnplacedEvents {
  readonly #deps: UnplacedEventsDeps;
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;
  #isRunning = false;
  #closed = false;

  constructor(deps: UnplacedEventsDeps) {
    this.#deps = deps;
  }

  /** Resumes the retries after a restart. */
  start(): void {
    this.#wakeAt(Date.now());
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Stores an event to be retried. */
  async keep({ eventId, roomId, origin, pdu }: UnplacedEvent): Promise<void> {
    const next = Date.now() + FIRST_PAUSE_MS;
    await this.#deps.db.query(
      `INSERT INTO unplaced_events (room_id, origin, event_id, depth, json, tries, next_try)
       VALUES ($1, $2, $3, $4, $5, 1, $6)
       ON CONFLICT DO NOTHING`,
      [roomId, origin, eventId, pdu.depth, canonicalJson(pdu), next],
    );
    await this.#deps.db.query(
      `DELETE FROM unplaced_events WHERE room_id = $1 AND origin = $2 AND event_id IN (
         SELECT event_id FROM unplaced_events WHERE room_id = $1 AND origin = $2
         ORDER BY depth DESC, event_id OFFSET ${String(KEPT)})`,
      [roomId, origin],
    );
    this.#wakeAt(next);
  }

  #wakeAt(time: number): void {
    if (this.#closed || time >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = time;
    this.#timer = setTimeout(
      () => {
        this.#run().catch(unexpected(this.#deps.log, 'unplaced events were not retried'));
      },
      Math.max(0, time - Date.now()),
    );
    this.#timer.unref();
  }

  /** Retries what is due. Does not throw. */
  async #run(): Promise<void> {
    const { db, log } = this.#deps;
    this.#due = Number.POSITIVE_INFINITY;
    if (this.#isRunning) return;
    this.#isRunning = true;
    let next = Date.now() + FIRST_PAUSE_MS;
    try {
      const rows = await db.query<Row>(
        `SELECT DISTINCT ON (room_id, origin) room_id, origin, event_id, json, tries FROM unplaced_events
         WHERE next_try <= $1 ORDER BY room_id, origin, depth DESC LIMIT ${String(READ_AT_ONCE)}`,
        [Date.now()],
      );
      const tryRows = async (): Promise<void> => {
        for (let row = rows.shift(); row !== undefined && !this.#closed; row = rows.shift()) await this.#try(row);
      };
      await Promise.all(Array.from({ length: TRIED_AT_ONCE }, tryRows));
      const [first] = await db.query<{ next: number | null }>('SELECT min(next_try) AS next FROM unplaced_events');
      next = first?.next ?? Number.POSITIVE_INFINITY;
    } catch (error) {
      if (!this.#closed) log.warn({ err: error }, 'unplaced events could not be retried');
    } finally {
      this.#isRunning = false;
    }
    this.#wakeAt(next);
  }

  async #try({ room_id: roomId, origin, event_id: eventId, json, tries }: Row): Promise<void> {
    const { db, take, log } = this.#deps;
    try {
      await take(roomId, parseStrict(json) as Pdu, origin);
      log.info({ roomId, eventId, origin, tries }, 'an unplaced event was placed');
    } catch (error) {
      if (this.#closed) return;
      if (!isFinal(error) && tries < TRIES) {
        await this.#postpone(roomId, origin, eventId, tries);
        return;
      }
      log.info({ err: error, roomId, eventId, origin }, 'an unplaced event was given up');
    }
    await db.query('DELETE FROM unplaced_events WHERE room_id = $1 AND origin = $2 AND event_id = $3', [
      roomId,
      origin,
      eventId,
    ]);
    // The event before it is in place now.
    await db.query('UPDATE unplaced_events SET next_try = $3 WHERE room_id = $1 AND origin = $2', [
      roomId,
      origin,
      Date.now(),
    ]);
  }

  /** The next one of the same server is retried a little later: it may need the same. */
  async #postpone(roomId: string, origin: string, eventId: string, tries: number): Promise<void> {
    const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 20));
    await this.#deps.db.query(
      `UPDATE unplaced_events
       SET tries = tries + CASE WHEN event_id = $3 THEN 1 ELSE 0 END,
         next_try = CASE WHEN event_id = $3 THEN $4 ELSE greatest(next_try, $5) END
       WHERE room_id = $1 AND origin = $2`,
      [roomId, origin, eventId, Date.now() + pause, Date.now() + FIRST_PAUSE_MS],
    );
  }
}

/** Whether retrying is pointless. */
function isFinal(error: unknown): boolean {
  return error instanceof BadEventError || (error instanceof MatrixError && error.status < 500);
}

/**
 * Events that other servers sent while what came before them was not to be had. Who sent one counts it as delivered, and
 * it may be long until somebody says something in the room again: the deepest of each server, which comes after its
 * others, is tried again with growing pauses.
 */
import type { Logger } from 'pino';
import type { Pdu } from '../../federation/event.ts';
import { canonicalJson, parseStrict } from '../../federation/json.ts';
import type { Database } from '../database/database.ts';
import { UnknownPlaceError } from '../rooms/receive.ts';

/** Between the first tries, in ms; each time twice as long, up to the last. */
const FIRST_PAUSE_MS = 5_000;
const LAST_PAUSE_MS = 60 * 60 * 1000;
/** Then what came before an event counts as gone: about two days. */
const TRIES = 56;
const AT_ONCE = 50;

export interface UnplacedEventsDeps {
  readonly db: Database;
  /** Takes an event whose format and signatures are checked. @throws UnknownPlaceError when it is still too early */
  readonly take: (roomId: string, pdu: Pdu, origin: string) => Promise<unknown>;
  readonly log: Logger;
}

export interface UnplacedEvent {
  readonly eventId: string;
  readonly roomId: string;
  /** Who sent it. */
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
  #closed = false;

  constructor(deps: UnplacedEventsDeps) {
    this.#deps = deps;
  }

  /** Goes on with what was kept when the process ended. */
  start(): void {
    this.#wakeAt(Date.now());
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Keeps an event, to be tried again. */
  async keep({ eventId, roomId, origin, pdu }: UnplacedEvent): Promise<void> {
    const next = Date.now() + FIRST_PAUSE_MS;
    await this.#deps.db.query(
      `INSERT INTO unplaced_events (room_id, origin, event_id, depth, json, tries, next_try)
       VALUES ($1, $2, $3, $4, $5, 1, $6)
       ON CONFLICT (room_id, origin) DO UPDATE SET event_id = excluded.event_id, depth = excluded.depth,
         json = excluded.json, tries = 1, next_try = excluded.next_try
       WHERE unplaced_events.depth < excluded.depth`,
      [roomId, origin, eventId, pdu.depth, canonicalJson(pdu), next],
    );
    this.#wakeAt(next);
  }

  #wakeAt(time: number): void {
    if (this.#closed || time >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = time;
    this.#timer = setTimeout(() => void this.#run(), Math.max(0, time - Date.now()));
    this.#timer.unref();
  }

  /** Tries what is due. Does not throw. */
  async #run(): Promise<void> {
    const { db, log } = this.#deps;
    this.#due = Number.POSITIVE_INFINITY;
    try {
      const rows = await db.query<Row>(
        `SELECT room_id, origin, event_id, json, tries FROM unplaced_events WHERE next_try <= $1
         ORDER BY next_try LIMIT ${String(AT_ONCE)}`,
        [Date.now()],
      );
      for (const row of rows) if (!this.#closed) await this.#try(row);
      const [first] = await db.query<{ next: number | null }>('SELECT min(next_try) AS next FROM unplaced_events');
      if (typeof first?.next === 'number') this.#wakeAt(first.next);
    } catch (error) {
      if (this.#closed) return;
      log.warn({ err: error }, 'kept events could not be tried again');
      this.#wakeAt(Date.now() + FIRST_PAUSE_MS);
    }
  }

  async #try({ room_id: roomId, origin, event_id: eventId, json, tries }: Row): Promise<void> {
    const { db, take, log } = this.#deps;
    const key = [roomId, origin, eventId];
    try {
      await take(roomId, parseStrict(json) as Pdu, origin);
      log.info({ roomId, eventId, origin, tries }, 'an event was taken after all');
    } catch (error) {
      if (error instanceof UnknownPlaceError && tries < TRIES) {
        const pause = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries, 20));
        await db.query(
          `UPDATE unplaced_events SET tries = tries + 1, next_try = $4
           WHERE room_id = $1 AND origin = $2 AND event_id = $3`,
          [...key, Date.now() + pause],
        );
        return;
      }
      log.info({ err: error, roomId, eventId, origin }, 'a kept event was given up');
    }
    await db.query('DELETE FROM unplaced_events WHERE room_id = $1 AND origin = $2 AND event_id = $3', key);
  }
}

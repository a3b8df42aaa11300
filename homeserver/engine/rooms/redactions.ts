/**
 * Redactions that were received before the events that they redact: events arrive in any order, and history even later.
 * They are stored in the database, and the rooms that have some are kept in memory, so that storing an event needs no
 * extra query.
 */
import { serverOf } from '../../../federation/event.ts';
import type { Database } from '../../database/database.ts';
import type { Write } from '../../database/writes.ts';

export interface EarlyRedaction {
  readonly eventId: string;
  readonly roomId: string;
  readonly targetId: string;
  readonly sender: string;
  /** Whether its sender had the power level to redact events of others when it was accepted. */
  readonly anybodys: boolean;
}

export class EarlyRedactions {
  readonly #db: Database;
  readonly #rooms: Set<string>;

  private constructor(db: Database, rooms: Iterable<string>) {
    this.#db = db;
    this.#rooms = new Set(rooms);
  }

  static async load(db: Database): Promise<EarlyRedactions> {
    const rows = await db.query<{ room_id: string }>('SELECT DISTINCT room_id FROM early_redactions');
    return new EarlyRedactions(
      db,
      rows.map((row) => row.room_id),
    );
  }

  /** Writes that store a redaction, in the commit of the event itself. */
  write(redaction: EarlyRedaction): Write {
    const { eventId, roomId, targetId, sender, anybodys } = redaction;
    // Set before the commit: a query too many is better than one too few.
    this.#rooms.add(roomId);
    return {
      sql: `INSERT INTO early_redactions (event_id, room_id, target_id, sender, anybodys)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
      params: [eventId, roomId, targetId, sender, anybodys],
    };
  }

  /** Writes that delete redactions once their target was redacted. */
  applied(targetId: string): Write {
    return { sql: 'DELETE FROM early_redactions WHERE target_id = $1', params: [targetId] };
  }

  /** The redaction for each of these events that was redacted before it was received. */
  async of(roomId: string, events: readonly { id: string; sender: string }[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    if (events.length === 0 || !this.#rooms.has(roomId)) return found;
    const rows = await this.#db.query<{ event_id: string; target_id: string; sender: string; anybodys: boolean }>(
      `SELECT event_id, target_id, sender, anybodys FROM early_redactions
       WHERE room_id = $1 AND target_id = ANY($2) ORDER BY event_id`,
      [roomId, events.map(({ id }) => id)],
    );
    const senders = new Map(events.map(({ id, sender }) => [id, sender]));
    for (const row of rows) {
      const isOwn = serverOf(row.sender) === serverOf(senders.get(row.target_id) ?? '');
      if (isOwn || row.anybodys) found.set(row.target_id, row.event_id);
    }
    return found;
  }
}

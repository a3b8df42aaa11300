/** Sending to other servers: events and durable EDUs are queued in the database, other EDUs in memory. */
import { canonicalJsonWithAnyNumbers, parseWithAnyNumbers } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { OutboundQueue, QueueStore } from '../../../federation/outbound-queue.ts';
import type { Database, Tx } from '../../database/database.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Write } from '../../database/writes.ts';
import type { Sender } from '../rooms/ports.ts';

/** This many EDUs about the same subject are only queued for a server that is down. */
const MANY = 10;

/** The outbound queue's store in the database. */
export function sqlQueueStore(db: Database): QueueStore {
  return {
    async destinations() {
      const rows = await db.query<{ destination: string }>('SELECT DISTINCT destination FROM outbound_queue');
      return rows.map((row) => row.destination);
    },
    async next(destination, limit) {
      const rows = await db.query<{ position: number; kind: 'pdu' | 'edu'; json: string }>(
        'SELECT position, kind, json FROM outbound_queue WHERE destination = $1 ORDER BY position LIMIT $2',
        [destination, limit],
      );
      return rows.map((row) => ({ ...row, json: parseWithAnyNumbers(row.json) as JsonObject }));
    },
    async done(destination, positions) {
      await db.query('DELETE FROM outbound_queue WHERE destination = $1 AND position = ANY($2)', [
        destination,
        positions,
      ]);
    },
  };
}

/** Puts events of rooms into the outbound queue, inside the transaction that stores them. */
export class QueueSender implements Sender {
  readonly #db: Database;
  readonly #queue: OutboundQueue;

  constructor(db: Database, queue: OutboundQueue) {
    this.#db = db;
    this.#queue = queue;
  }

  write(destinations: readonly string[], events: readonly { eventId: string }[]): Write | undefined {
    if (destinations.length === 0 || events.length === 0) return undefined;
    return queueWrite(
      destinations,
      'pdu',
      events.map(({ eventId }) => ({ event_id: eventId })),
    );
  }

  async durableEdu(
    tx: Tx,
    destinations: readonly string[],
    type: string,
    content: JsonObject,
    about?: string,
  ): Promise<void> {
    if (destinations.length === 0) return;
    if (about !== undefined) {
      await this.#db.query(
        `DELETE FROM outbound_queue USING (
           SELECT position, count(*) OVER (PARTITION BY destination) AS waiting FROM outbound_queue
           WHERE destination = ANY($1) AND about = $2) AS old
         WHERE outbound_queue.position = old.position AND old.waiting >= ${String(MANY)}`,
        [destinations, about],
        tx,
      );
    }
    await writeTogether(this.#db, [queueWrite(destinations, 'edu', [{ edu_type: type, content }], about)], tx);
  }

  flush(destinations: readonly string[]): void {
    for (const destination of destinations) this.#queue.wake(destination);
  }

  edu(destinations: Iterable<string>, type: string, content: JsonObject): void {
    for (const destination of destinations) this.#queue.edu(destination, { edu_type: type, content });
  }
}

/** Queues all items for each destination, in order. */
function queueWrite(
  destinations: readonly string[],
  kind: 'pdu' | 'edu',
  all: readonly JsonObject[],
  about?: string,
): Write {
  return {
    sql: `INSERT INTO outbound_queue (destination, kind, json, about)
          SELECT d, $2, j, $4::text FROM unnest($3::text[]) WITH ORDINALITY AS e (j, n), unnest($1::text[]) AS d ORDER BY n`,
    // Events had to be canonical to be signed; to-device messages may have any numbers.
    params: [destinations, kind, all.map((json) => canonicalJsonWithAnyNumbers(json)), about ?? null],
  };
}

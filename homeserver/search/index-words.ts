/** Keeps the words of what people write, for the search, within the transaction that stores the event. */
import type { Pdu } from '../../federation/event.ts';
import { member } from '../../federation/json.ts';
import type { Database, Tx } from '../database/database.ts';

/** Which member of the content is searched, by event type. */
const SEARCHED = new Map([
  ['m.room.message', 'body'],
  ['m.room.name', 'name'],
  ['m.room.topic', 'topic'],
]);

/**
 * The words are taken as they are, without grammar: people write in several languages.
 *
 * @see Matrix specification, client-server API, "Server Side Search"
 */
export async function indexWords(
  db: Database,
  event: { eventId: string; roomId: string; pdu: Pdu },
  tx: Tx,
): Promise<void> {
  const { pdu } = event;
  const key = SEARCHED.get(pdu.type);
  const text = key === undefined ? undefined : member(pdu.content, key);
  if (typeof text !== 'string' || text === '') return;
  await db.query(
    `INSERT INTO event_words (event_id, room_id, key, words) VALUES ($1, $2, $3, to_tsvector('simple', $4))
     ON CONFLICT DO NOTHING`,
    [event.eventId, event.roomId, `content.${key ?? ''}`, text.replaceAll('\0', ' ')],
    tx,
  );
}

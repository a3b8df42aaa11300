/** Indexes the text of messages for search, in the commit that stores them. */
import { member } from '../../../federation/json.ts';
import type { Write } from '../../database/writes.ts';
import type { IndexedEvent } from '../../engine/rooms/ports.ts';

/** The searched content field, by event type. */
const SEARCHED = new Map([
  ['m.room.message', 'body'],
  ['m.room.name', 'name'],
  ['m.room.topic', 'topic'],
]);

/**
 * The writes that index some events. Words are indexed as they are, without stemming: people write in several
 * languages.
 *
 * @see Matrix specification, client-server API, "Server Side Search"
 */
export function wordsWrites(events: readonly IndexedEvent[]): Write[] {
  const found = events.flatMap(({ eventId, roomId, pdu }) => {
    const key = SEARCHED.get(pdu.type);
    const text = key === undefined ? undefined : member(pdu.content, key);
    if (key === undefined || typeof text !== 'string' || text === '') return [];
    return [{ eventId, roomId, key: `content.${key}`, text: text.replaceAll('\0', ' ') }];
  });
  if (found.length === 0) return [];
  const sql = `INSERT INTO event_words (event_id, room_id, key, words)
    SELECT e, r, k, to_tsvector('simple', t) FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS w (e, r, k, t)
    ON CONFLICT DO NOTHING`;
  const params = [
    found.map((one) => one.eventId),
    found.map((one) => one.roomId),
    found.map((one) => one.key),
    found.map((one) => one.text),
  ];
  return [{ sql, params }];
}

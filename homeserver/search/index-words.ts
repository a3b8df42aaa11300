/** Keeps the words of what people write, for the search, together with storing the event. */
import type { Pdu } from '../../federation/event.ts';
import { member } from '../../federation/json.ts';
import type { Write } from '../database/writes.ts';

/** Which member of the content is searched, by event type. */
const SEARCHED = new Map([
  ['m.room.message', 'body'],
  ['m.room.name', 'name'],
  ['m.room.topic', 'topic'],
]);

/**
 * What is to be stored with an event; undefined for one without words. They are taken as they are, without grammar:
 * people write in several languages.
 *
 * @see Matrix specification, client-server API, "Server Side Search"
 */
export function wordsWrite(event: { eventId: string; roomId: string; pdu: Pdu }): Write | undefined {
  const { pdu } = event;
  const key = SEARCHED.get(pdu.type);
  const text = key === undefined ? undefined : member(pdu.content, key);
  if (typeof text !== 'string' || text === '') return undefined;
  return {
    sql: `INSERT INTO event_words (event_id, room_id, key, words) VALUES ($1, $2, $3, to_tsvector('simple', $4))
          ON CONFLICT DO NOTHING`,
    params: [event.eventId, event.roomId, `content.${key ?? ''}`, text.replaceAll('\0', ' ')],
  };
}

/** Events in the form that clients get. @see Matrix specification, client-server API, "ClientEvent" */
import { member } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { Pdu } from '../../federation/event.ts';
import { shown } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/rooms.ts';

/** @param transactionId only for the device that sent the event */
export function clientEvent(event: StoredEvent, roomVersion: string, transactionId?: string): JsonObject {
  const pdu = shown(event, roomVersion);
  const unsigned: JsonObject = { age: Math.max(0, Date.now() - pdu.origin_server_ts) };
  if (transactionId !== undefined) unsigned['transaction_id'] = transactionId;
  if (event.redactedBy !== undefined) unsigned['redacted_because'] = { event_id: event.redactedBy };
  const redacts = member(pdu.content, 'redacts') ?? pdu.redacts;
  return {
    event_id: event.eventId,
    type: pdu.type,
    room_id: event.roomId,
    sender: pdu.sender,
    origin_server_ts: pdu.origin_server_ts,
    content: pdu.content,
    unsigned,
    ...(pdu.state_key === undefined ? {} : { state_key: pdu.state_key }),
    // From room version 11 on it is in the content; clients of before look for it outside.
    ...(pdu.type === 'm.room.redaction' && typeof redacts === 'string' ? { redacts } : {}),
  };
}

/** The few members of a state event that somebody who is invited may see. */
export function strippedEvent(pdu: Pdu): JsonObject {
  return { type: pdu.type, state_key: pdu.state_key ?? '', sender: pdu.sender, content: pdu.content };
}

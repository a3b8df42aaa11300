/** Events in the form that clients get. @see Matrix specification, client-server API, "ClientEvent" */
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { StoredEvent } from '../rooms/rooms.ts';
import { stickyForm } from '../rooms/sticky.ts';

/** What is known about an event besides its own fields. */
export interface EventDetails {
  /** Only for the device that sent the event. */
  readonly transactionId?: string | undefined;
  /** The state event that it replaced. */
  readonly replaced?: StoredEvent | undefined;
  /** The event that redacted it. */
  readonly redaction?: StoredEvent | undefined;
  /** Membership at the event of the user who gets it. */
  readonly membership?: string | undefined;
}

export function clientEvent(event: StoredEvent, details: EventDetails = {}): JsonObject {
  const { pdu } = event;
  const { transactionId, replaced, redaction, membership } = details;
  const sticky = stickyForm(pdu);
  const redacts = member(pdu.content, 'redacts') ?? pdu.redacts;
  return {
    event_id: event.eventId,
    type: pdu.type,
    room_id: event.roomId,
    sender: pdu.sender,
    origin_server_ts: pdu.origin_server_ts,
    content: pdu.content,
    unsigned: {
      age: Math.max(0, Date.now() - pdu.origin_server_ts),
      ...(transactionId === undefined ? {} : { transaction_id: transactionId }),
      ...(replaced === undefined
        ? {}
        : {
            replaces_state: replaced.eventId,
            prev_content: replaced.pdu.content,
            prev_sender: replaced.pdu.sender,
          }),
      ...(redaction === undefined ? {} : { redacted_by: redaction.eventId, redacted_because: clientEvent(redaction) }),
      ...(membership === undefined ? {} : { membership }),
      ...sticky.unsigned,
    },
    ...sticky.outer,
    ...(pdu.state_key === undefined ? {} : { state_key: pdu.state_key }),
    // From room version 11 on it is in the content; older clients look for it at the top level.
    ...(pdu.type === 'm.room.redaction' && typeof redacts === 'string' ? { redacts } : {}),
  };
}

/** Also sent outside of `unsigned`, for clients of the first versions. */
const FLAT = ['age', 'redacted_because', 'replaces_state', 'prev_content'];

/**
 * The form of events everywhere but in `/sync`: that of `/sync` plus what clients of the first versions expect, as
 * Synapse adds it.
 */
export function olderForm(event: JsonObject): JsonObject {
  const { sender, unsigned } = event;
  if (typeof sender !== 'string') return event;
  const flat = FLAT.flatMap((name): [string, JsonValue][] => {
    const value = isJsonObject(unsigned) ? unsigned[name] : undefined;
    return value === undefined ? [] : [[name, value]];
  });
  return { ...event, user_id: sender, ...Object.fromEntries(flat) };
}

/** A stripped state event, as somebody who is invited may see it. */
export function strippedEvent(pdu: Pdu): JsonObject {
  return { type: pdu.type, state_key: pdu.state_key ?? '', sender: pdu.sender, content: pdu.content };
}

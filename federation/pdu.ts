/** What an event is; event.ts reads, makes and checks them. */
import type { JsonObject } from './json.ts';

interface EventFields {
  type: string;
  sender: string;
  /** Absent in the create event of a room of version 12 and later. */
  room_id?: string;
  /** Present in state events only. */
  state_key?: string;
  content: JsonObject;
  auth_events: string[];
  prev_events: string[];
  depth: number;
  /** Milliseconds since 1970, as the sending server says. */
  origin_server_ts: number;
  unsigned?: JsonObject;
  /** Before room version 11; from 11 on it is in the content. */
  redacts?: string;
  /** Before room version 3 only. */
  event_id?: string;
}

/** An event that is not hashed and signed yet. */
export type UnsignedPdu = JsonObject & EventFields;

/** An event as servers exchange it ("persistent data unit"). Unknown members are kept: the hash covers them. */
export type Pdu = UnsignedPdu & { hashes: { sha256: string }; signatures: Record<string, Record<string, string>> };

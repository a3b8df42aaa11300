/**
 * An event with what we decided about it. `pdu` is the form that people and servers may see: without what was redacted.
 * The form that was signed is for authorisation alone and has to be asked for by name; a lint rule keeps it in here.
 */
import { redact } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';

const SIGNED_FORM = Symbol('the form that was signed');

export interface StoredEvent {
  readonly eventId: string;
  readonly roomId: string;
  /** What everybody may see of it; of a redacted event, the redacted form. */
  readonly pdu: Pdu;
  /** Order of storing; 0 for an outlier, negative for backfilled history. */
  readonly position: number;
  readonly rejected: boolean;
  readonly softFailed: boolean;
  readonly outlier: boolean;
  /** Id of the event that redacted it. */
  readonly redactedBy?: string;
  /** State groups; undefined for outliers. */
  readonly stateBefore?: number;
  readonly stateAfter?: number;
  /** The sending device's transaction id, while the event is new. */
  readonly transactionId?: string;
  /** Only where it differs from what may be seen. */
  readonly [SIGNED_FORM]?: Pdu;
}

/**
 * The event as its sender signed it, with what was redacted since: for the authorisation rules, state resolution and the
 * store. It must not reach anybody.
 */
export function signedForm(event: StoredEvent): Pdu {
  return event[SIGNED_FORM] ?? event.pdu;
}

/**
 * The event after its redaction. State is still needed as it was signed, because older room versions do not protect
 * everything that authorises (`invite` in the power levels, say); of everything else nothing is kept.
 */
export function redactedEvent(event: StoredEvent, by: string, version: RoomVersion): StoredEvent {
  const { [SIGNED_FORM]: signed = event.pdu, ...rest } = event;
  const isState = signed.state_key !== undefined;
  return {
    ...rest,
    pdu: redact(signed, version),
    redactedBy: by,
    ...(isState ? { [SIGNED_FORM]: signed } : {}),
  };
}

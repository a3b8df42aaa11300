/**
 * A stored event with the outcome of its checks. `pdu` is the form that people and servers may see, without what was
 * redacted. The form that was signed is for authorisation only and has to be requested by name; a lint rule keeps it in
 * here.
 */
import { redact } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';

const SIGNED_FORM = Symbol('the form that was signed');

export interface StoredEvent {
  readonly eventId: string;
  readonly roomId: string;
  /** The visible form; of a redacted event, the redacted form. */
  readonly pdu: Pdu;
  /** Stream position; 0 for an outlier, negative for backfilled history. */
  readonly position: number;
  readonly rejected: boolean;
  readonly softFailed: boolean;
  readonly outlier: boolean;
  /** Id of the event that redacted it. */
  readonly redactedBy?: string;
  /** State groups; undefined for outliers. */
  readonly stateBefore?: number;
  readonly stateAfter?: number;
  /** The sending device's transaction id, only while the event is new. */
  readonly transactionId?: string;
  /** Only where it differs from the visible form. */
  readonly [SIGNED_FORM]?: Pdu;
}

/**
 * The event as its sender signed it, including what was redacted since: for the auth rules, state resolution and the
 * store. It must not be sent to anybody.
 */
export function signedForm(event: StoredEvent): Pdu {
  return event[SIGNED_FORM] ?? event.pdu;
}

/**
 * The event after its redaction. State events are still needed as signed, because older room versions do not protect
 * all fields that authorise (such as `invite` in the power levels); of other events, nothing is kept.
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

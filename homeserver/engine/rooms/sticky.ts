/** Sticky events: delivered to everybody in the room for a limited time. @see MSC4354 */
import type { Pdu } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';

/** The event field for it, beside the content. */
export const STICKY = 'msc4354_sticky';
/** Longest sticky duration, in ms. */
export const MAX_STICKY_MS = 60 * 60 * 1000;

/**
 * Until when an event is sticky, Unix time in ms; undefined if it is not. A clock that runs ahead gains the sender
 * nothing.
 */
export function stickyUntil(pdu: Pdu, receivedAt: number): number | undefined {
  const sticky = member(pdu, STICKY);
  const duration = isJsonObject(sticky) ? member(sticky, 'duration_ms') : undefined;
  if (typeof duration !== 'number' || !Number.isSafeInteger(duration) || duration < 0) return undefined;
  return Math.min(pdu.origin_server_ts, receivedAt) + Math.min(duration, MAX_STICKY_MS);
}

/** The form for clients: the duration beside the content, and the remaining time in `unsigned`. */
export function stickyForm(pdu: Pdu): { outer: JsonObject; unsigned: JsonObject } {
  const now = Date.now();
  const until = stickyUntil(pdu, now);
  const sticky = member(pdu, STICKY);
  if (until === undefined || sticky === undefined) return { outer: {}, unsigned: {} };
  return {
    outer: { [STICKY]: sticky },
    unsigned: { msc4354_sticky_duration_ttl_ms: Math.max(0, until - now) },
  };
}

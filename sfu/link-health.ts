/** How well a link does, from what was measured. */
import type { SfuNotificationData } from './protocol.ts';

export type LinkState = SfuNotificationData<'link.state'>['state'];

/** So long without an answer, and without media, is an interruption, in milliseconds. */
export const INTERRUPTED_AFTER_MS = 3000;
/** So long without media that should come is a sign of trouble, in milliseconds. */
const MEDIA_MISSING_AFTER_MS = 5000;
/** Single probes get lost on good links: of ten, two have to be. */
const WEAK_LOSS = 0.15;
/** Beyond this conversation suffers (ITU-T G.114 names 400 ms one way as the limit for planning). */
const WEAK_ROUND_TRIP_MS = 500;

export interface LinkMeasures {
  /** Milliseconds since the last answer to a probe. */
  readonly silenceMs: number;
  /** Milliseconds since the last media packet of the peer. */
  readonly mediaSilenceMs: number;
  /** Milliseconds since the peer sends something that is not paused; undefined when it sends nothing. */
  readonly expectingMs: number | undefined;
  /** Share of probes lost, 0 to 1. */
  readonly loss: number;
  readonly roundTripMs: number | undefined;
}

export function linkState(measures: LinkMeasures): Exclude<LinkState, 'connecting'> {
  const { silenceMs, mediaSilenceMs, expectingMs, loss, roundTripMs = 0 } = measures;
  if (silenceMs >= INTERRUPTED_AFTER_MS) {
    // Media that still comes tells that only the probes are lost.
    return mediaSilenceMs < INTERRUPTED_AFTER_MS ? 'weak' : 'interrupted';
  }
  const mediaMissing = expectingMs !== undefined && Math.min(expectingMs, mediaSilenceMs) >= MEDIA_MISSING_AFTER_MS;
  return mediaMissing || loss > WEAK_LOSS || roundTripMs > WEAK_ROUND_TRIP_MS ? 'weak' : 'connected';
}

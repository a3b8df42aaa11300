/** Puts delayed events together. */
import type { RequestHandler } from 'express';
import type { Feature } from '../../engine/feature.ts';
import { delayedEventsRouter } from './client-router.ts';
import { DelayedEvents } from './delayed-events.ts';
import type { DelayedEventsOptions } from './delayed-events.ts';

export interface DelayedEventsFeature extends Feature {
  readonly delayedEvents: DelayedEvents;
}

export function makeDelayedEvents(
  deps: DelayedEventsOptions & { readonly requireSession: RequestHandler },
): DelayedEventsFeature {
  const delayedEvents = new DelayedEvents(deps);
  return {
    delayedEvents,
    matrix: [delayedEventsRouter({ delayedEvents, requireSession: deps.requireSession })],
    start: () => delayedEvents.start(),
    close: () => delayedEvents.close(),
  };
}

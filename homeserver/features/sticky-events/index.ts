/** Puts sticky events together. */
import type { ShowFor } from '../../engine/client/show.ts';
import type { Feature } from '../../engine/feature.ts';
import { StickyEvents } from './sticky-events.ts';
import type { StickyEventsOptions } from './sticky-events.ts';
import { stickyPart } from './sync-part.ts';

export function makeStickyEvents(deps: StickyEventsOptions & { readonly showFor: ShowFor }): Feature {
  const stickyEvents = new StickyEvents(deps);
  return { syncParts: [stickyPart(stickyEvents, deps.showFor)], close: () => stickyEvents.close() };
}

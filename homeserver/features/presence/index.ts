/** Puts presence together. */
import type { RequestHandler } from 'express';
import type { Feature } from '../../engine/feature.ts';
import { presenceRouter } from './client-router.ts';
import { Presence } from './presence.ts';
import type { PresenceMode, PresenceOptions } from './presence.ts';
import { presencePart } from './sync-part.ts';

export interface PresenceDeps extends Omit<PresenceOptions, 'mode'> {
  /** Who gets presence; off by default. */
  readonly presence?: PresenceMode;
  readonly requireSession: RequestHandler;
}

export interface PresenceFeature extends Feature {
  readonly presence: Presence;
}

export function makePresence(deps: PresenceDeps): PresenceFeature {
  const { rooms, requireSession } = deps;
  const presence = new Presence({ ...deps, mode: deps.presence ?? 'off' });
  return {
    presence,
    client: [presenceRouter({ presence, rooms, requireSession })],
    syncParts: [presencePart(presence, rooms)],
    close: () => presence.close(),
  };
}

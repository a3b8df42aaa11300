/** Puts `/sync` and the event stream of the first clients together. */
import type { RequestHandler } from 'express';
import type { Database } from '../../database/database.ts';
import type { ClientEvents } from '../client/client-events.ts';
import type { ShowFor } from '../client/show.ts';
import type { Feature } from '../feature.ts';
import type { InvitePermissions } from '../rooms/ports.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { Positions } from '../stream/positions.ts';
import { answers } from './answers.ts';
import { eventStreamRouter } from './event-stream.ts';
import type { SyncPart, SyncPartName } from './part.ts';
import type { PresenceState } from './presence-state.ts';
import { roomsPart } from './rooms-part.ts';
import { syncRouter } from './router.ts';

export interface SyncDeps {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly clientEvents: ClientEvents;
  readonly showFor: ShowFor;
  readonly invitePermissions: Pick<InvitePermissions, 'rule'>;
  readonly ignored: (userId: string) => Promise<ReadonlySet<string>>;
  /**
   * Marks a user as syncing. @returns a function to call when the request has ended
   *
   * @returns to be called when the request has ended
   */
  readonly present: (userId: string, state: PresenceState) => Promise<() => void>;
  /** Whether the room is in the public room directory. */
  readonly isListed: (roomId: string) => Promise<boolean>;
  /** The JSON text of a stored filter. */
  readonly storedFilter: (userId: string, filterId: string) => Promise<string | undefined>;
  /** The parts of features; rooms themselves are added here. */
  readonly parts: readonly SyncPart[];
  readonly requireSession: RequestHandler;
}

/** The event stream has no section for these; reading to-device messages for it would consume them. */
const NOT_STREAMED: ReadonlySet<SyncPartName> = new Set(['device_lists', 'sticky', 'to_device']);

export function makeSync(deps: SyncDeps): Feature {
  const { positions, present, requireSession } = deps;
  const inviteRule = (userId: string, sender: string) => deps.invitePermissions.rule(userId, sender);
  const parts = [roomsPart({ ...deps, inviteRule }), ...deps.parts];
  return {
    client: [
      syncRouter({
        answers: answers({ ...deps, parts }),
        parts,
        present,
        storedFilter: deps.storedFilter,
        requireSession,
      }),
      eventStreamRouter({
        ...deps,
        answers: answers({ ...deps, parts: parts.filter(({ name }) => !NOT_STREAMED.has(name)) }),
        newest: () => positions.current,
        present: (userId) => present(userId, 'online'),
      }),
    ],
  };
}

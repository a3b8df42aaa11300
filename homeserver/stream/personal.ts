/** What is told to each person about their rooms: `/sync` and the subjects whose news it carries, put together. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { AccountData } from '../account-data/account-data.ts';
import { accountDataPart } from '../account-data/sync-part.ts';
import { accountDataRouter } from '../client-api/account-data.ts';
import { ClientEvents } from '../client-api/client-events.ts';
import type { Bundles } from '../client-api/client-events.ts';
import type { SyncPart } from '../client-api/sync/part.ts';
import { roomsPart } from '../client-api/sync/rooms-part.ts';
import { syncRouter } from '../client-api/sync/router.ts';
import type { Database } from '../database/database.ts';
import type { Edus } from '../federation-api/edus.ts';
import type { Sender } from '../rooms/ports.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Notifier } from './notifier.ts';
import type { Positions } from './positions.ts';

export interface PersonalOptions {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly edus: Edus;
  /** What others say about events. */
  readonly bundles?: Bundles;
  /** Parts of other subjects. */
  readonly parts: readonly SyncPart[];
  /** The JSON text of a stored filter. */
  readonly storedFilter: (userId: string, filterId: string) => Promise<string | undefined>;
  readonly requireSession: RequestHandler;
  readonly log: Logger;
}

export interface Personal {
  readonly accountData: AccountData;
  readonly clientEvents: ClientEvents;
  /** Routers at `/_matrix/client/v3`. */
  readonly matrix: Router[];
  close(): void;
}

export function personal(options: PersonalOptions): Personal {
  const { db, rooms, positions, notifier, requireSession } = options;
  const accountData = new AccountData({ db, positions, notifier });
  const clientEvents = new ClientEvents(db, rooms, options.bundles);
  const ignored = (userId: string): Promise<ReadonlySet<string>> => accountData.ignored(userId);
  return {
    accountData,
    clientEvents,
    matrix: [
      syncRouter({
        rooms,
        positions,
        notifier,
        parts: [roomsPart({ db, rooms, clientEvents, ignored }), accountDataPart(accountData), ...options.parts],
        storedFilter: options.storedFilter,
        requireSession,
      }),
      accountDataRouter({ accountData, pushRules: () => Promise.resolve({}), requireSession }),
    ],
    close: () => undefined,
  };
}

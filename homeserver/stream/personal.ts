/** What is told to each person about their rooms: `/sync` and the subjects whose news it carries, put together. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { AccountData } from '../account-data/account-data.ts';
import { accountDataPart } from '../account-data/sync-part.ts';
import { accountDataRouter } from '../client-api/account-data.ts';
import { presenceRouter } from '../client-api/presence.ts';
import { receiptsRouter } from '../client-api/receipts.ts';
import { typingRouter } from '../client-api/typing.ts';
import { Presence } from '../presence/presence.ts';
import type { PresenceMode } from '../presence/presence.ts';
import { presencePart } from '../presence/sync-part.ts';
import { receiptsFromServers } from '../receipts/from-servers.ts';
import { Receipts } from '../receipts/receipts.ts';
import { receiptsPart } from '../receipts/sync-part.ts';
import { Typing } from '../typing/typing.ts';
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
  /** Whether people see who is there; off when not given. */
  readonly presence?: PresenceMode;
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
  const typing = new Typing({ ...options, ignored });
  const receipts = new Receipts({ ...options, accountData });
  receiptsFromServers(options.edus, rooms, receipts);
  const presence = new Presence({ ...options, mode: options.presence ?? 'off' });
  return {
    accountData,
    clientEvents,
    matrix: [
      syncRouter({
        rooms,
        positions,
        notifier,
        parts: [
          // First, as it makes the entries of the rooms.
          roomsPart({ db, rooms, clientEvents, ignored }),
          accountDataPart(accountData),
          typing.part(),
          receiptsPart(receipts),
          presencePart(presence, rooms),
          ...options.parts,
        ],
        present: (userId, state) => presence.syncs(userId, state),
        storedFilter: options.storedFilter,
        requireSession,
      }),
      accountDataRouter({ accountData, pushRules: () => Promise.resolve({}), requireSession }),
      typingRouter({ typing, rooms, requireSession }),
      receiptsRouter({ receipts, requireSession }),
      presenceRouter({ presence, rooms, requireSession }),
    ],
    close: () => {
      typing.close();
      presence.close();
    },
  };
}

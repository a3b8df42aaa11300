/** The list of Matrix features of a homeserver, and their combined interface. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { FederationClient } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { Sessions } from '../accounts/sessions.ts';
import type { Database } from '../database/database.ts';
import { ClientEvents } from '../engine/client/client-events.ts';
import { showFor } from '../engine/client/show.ts';
import type { Edus } from '../engine/federation/edus.ts';
import type { Feature } from '../engine/feature.ts';
import type { EventIndex, InvitePermissions, Sender } from '../engine/rooms/ports.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Notifier } from '../engine/stream/notifier.ts';
import type { Positions } from '../engine/stream/positions.ts';
import { ALL_VISIBLE } from '../engine/visibility.ts';
import type { Visibility } from '../engine/visibility.ts';
import { makeSync } from '../engine/sync/index.ts';
import type { AccountData } from '../features/account-data/account-data.ts';
import { makeAccountData } from '../features/account-data/index.ts';
import { makeDelayedEvents } from '../features/delayed-events/index.ts';
import type { Directory } from '../features/directory/directory.ts';
import { makeDirectory } from '../features/directory/index.ts';
import { makePresence } from '../features/presence/index.ts';
import type { PresenceMode } from '../features/presence/presence.ts';
import { makePush } from '../features/push/index.ts';
import type { PushConfig } from '../features/push/index.ts';
import { makeReceipts } from '../features/receipts/index.ts';
import { relationWrites } from '../features/relations/index-relation.ts';
import { makeRelations } from '../features/relations/index.ts';
import type { Relations } from '../features/relations/relations.ts';
import { makeReports } from '../features/reports/index.ts';
import { makeRooms } from '../features/rooms/index.ts';
import { makeRtc } from '../features/rtc/index.ts';
import { wordsWrites } from '../features/search/index-words.ts';
import { makeSearch } from '../features/search/index.ts';
import { makeSpaces } from '../features/spaces/index.ts';
import { stickyWrites } from '../features/sticky-events/index-sticky.ts';
import { makeStickyEvents } from '../features/sticky-events/index.ts';
import { makeTyping } from '../features/typing/index.ts';

export interface FeaturesDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly client: FederationClient;
  readonly sender: Sender;
  readonly edus: Edus;
  readonly invitePermissions: InvitePermissions;
  /** Without it, everybody may know of everybody. */
  readonly visibility?: Visibility;
  readonly sessions?: Pick<Sessions, 'onDeviceChange'>;
  /** Who gets presence; off by default. */
  readonly presence?: PresenceMode;
  readonly push?: PushConfig;
  /** Display name and avatar of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly isGuest: (userId: string) => Promise<boolean>;
  /** The JSON text of a stored filter. */
  readonly storedFilter: (userId: string, filterId: string) => Promise<string | undefined>;
  readonly requireSession: RequestHandler;
  /** Rate limit for events of a user. */
  readonly limitSending: RequestHandler;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
  /** Features made elsewhere, because they need more. */
  readonly others?: readonly Feature[];
  readonly log: Logger;
}

/** All features together. */
export interface Features {
  readonly accountData: AccountData;
  readonly relations: Relations;
  readonly directory: Directory;
  readonly client: readonly Router[];
  readonly matrix: readonly Router[];
  readonly federation: readonly Router[];
  readonly admin: readonly Router[];
  /** Resumes what a restart interrupted, before this server can be reached. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** What features index of each stored event. */
export const EVENT_INDEXES: readonly EventIndex[] = [relationWrites, wordsWrites, stickyWrites];

export function makeFeatures(deps: FeaturesDeps): Features {
  const { db, rooms, requireSession } = deps;
  const own = { ...deps, visibility: deps.visibility ?? ALL_VISIBLE, showFor: showFor(db, rooms) };
  const relations = makeRelations(own);
  const clientEvents = new ClientEvents(db, rooms, relations.relations);
  const account = makeAccountData({
    ...own,
    pushRules: {
      content: (userId) => push.rules.content(userId),
      carryOver: (userId, from, to) => push.rules.carryOver(userId, from, to),
    },
  });
  const { accountData } = account;
  const ignored = (userId: string): Promise<ReadonlySet<string>> => accountData.ignored(userId);
  const push = makePush({ ...own, accountData, clientEvents });
  const presence = makePresence(own);
  const directory = makeDirectory(own);
  const delayed = makeDelayedEvents(own);
  const named = {
    ...own,
    directory: directory.directory,
    publicRooms: directory.publicRooms,
    delayedEvents: delayed.delayedEvents,
    relations: relations.relations,
    ignored,
  };
  const made: readonly Feature[] = [
    account,
    delayed,
    directory,
    presence,
    push,
    relations,
    makeReceipts({
      ...own,
      accountData,
      onRead: ({ userId, roomId, threadId }, position) => push.read(userId, roomId, threadId, position),
    }),
    makeReports(own),
    makeRooms(named),
    makeRtc(own),
    makeSearch(named),
    makeSpaces(named),
    makeStickyEvents(own),
    makeTyping({ ...own, ignored }),
    ...(deps.others ?? []),
  ];
  const sync = makeSync({
    ...own,
    clientEvents,
    ignored,
    present: (userId, state) => presence.presence.syncs(userId, state),
    isListed: (roomId) => directory.publicRooms.listed(roomId),
    parts: made.flatMap(({ syncParts = [] }) => syncParts),
    requireSession,
  });
  const all = [...made, sync];
  return {
    accountData,
    relations: relations.relations,
    directory: directory.directory,
    client: all.flatMap(({ client = [] }) => client),
    matrix: all.flatMap(({ matrix = [] }) => matrix),
    federation: all.flatMap(({ federation = [] }) => federation),
    admin: all.flatMap(({ admin = [] }) => admin),
    start: async () => {
      for (const feature of all) await feature.start?.();
    },
    close: async () => {
      for (const feature of all.toReversed()) await feature.close?.();
    },
  };
}

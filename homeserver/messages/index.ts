/** Finding rooms and messages, and what belongs to a message: the parts of this subject, put together. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { FederationClient } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { contextRouter, eventTimesRouter } from '../client-api/context.ts';
import { delayedEventsRouter } from '../client-api/delayed-events.ts';
import { directoryRouter } from '../client-api/directory.ts';
import { hierarchyRouter } from '../client-api/hierarchy.ts';
import { relationsRouter } from '../client-api/relations.ts';
import { reportAdminRouter } from '../client-api/report-admin.ts';
import { reportRouter } from '../client-api/report.ts';
import { rtcRouter } from '../client-api/rtc.ts';
import { searchRouter } from '../client-api/search.ts';
import { showFor } from '../client-api/show.ts';
import type { ShowFor } from '../client-api/show.ts';
import { threadSubscriptionsRouter } from '../client-api/thread-subscriptions.ts';
import { mutualRoomsRouter, userDirectoryRouter } from '../client-api/user-directory.ts';
import type { SyncPart } from '../client-api/sync/part.ts';
import type { Database } from '../database/database.ts';
import { DelayedEvents } from '../delayed-events/delayed-events.ts';
import { Directory } from '../directory/directory.ts';
import { PublicRooms } from '../directory/public-rooms.ts';
import { remoteAlias, remotePublicRooms } from '../directory/remote.ts';
import { UserDirectory } from '../directory/user-directory.ts';
import { directoryRouter as federationDirectory } from '../federation-api/directory-router.ts';
import { findRouter } from '../federation-api/find-router.ts';
import { Relations } from '../relations/relations.ts';
import { ThreadSubscriptions } from '../relations/thread-subscriptions.ts';
import { Reports } from '../reports/reports.ts';
import type { Sender } from '../rooms/ports.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { EventTimes } from '../search/event-times.ts';
import { Search } from '../search/search.ts';
import { Hierarchy } from '../spaces/hierarchy.ts';
import { RemoteSpaces } from '../spaces/remote-spaces.ts';
import { StickyEvents } from '../sticky-events/sticky-events.ts';
import { stickyPart } from '../sticky-events/sync-part.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { Positions } from '../stream/positions.ts';

export interface MessagesOptions {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly client: FederationClient;
  readonly sender: Pick<Sender, 'write' | 'flush'>;
  readonly requireSession: RequestHandler;
  /** Lets only signed requests of other servers pass. */
  readonly signed: RequestHandler;
  /** Name and picture of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly log: Logger;
}

export interface Messages {
  readonly directory: Directory;
  readonly publicRooms: PublicRooms;
  readonly relations: Relations;
  readonly showFor: ShowFor;
  readonly delayedEvents: DelayedEvents;
  readonly threadSubscriptions: ThreadSubscriptions;
  readonly stickyEvents: StickyEvents;
  /** What `/sync` tells of this subject; to come after the part of the rooms. */
  readonly syncParts: SyncPart[];
  /** Routers at `/_matrix/client/v3`. */
  readonly matrix: Router[];
  /** Routers at `/_synapse/admin`. */
  readonly admin: Router[];
  /** Routers at `/_matrix`. */
  readonly matrixRoot: Router[];
  /** Routers at `/_matrix/federation`. */
  readonly federation: Router[];
  /** To be called before others can reach this server: sends what became due while it was down. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function messages(options: MessagesOptions): Messages {
  const { serverName, db, rooms, client, requireSession, signed, log } = options;
  const directory = new Directory({
    db,
    serverName,
    rooms,
    remoteAlias: (server, alias) => remoteAlias(client, server, alias),
  });
  const publicRooms = new PublicRooms(db, rooms);
  const relations = new Relations(db, rooms);
  const hierarchy = new Hierarchy({ db, rooms, serverName, remote: new RemoteSpaces(client, serverName) });
  const parts = {
    db,
    rooms,
    serverName,
    requireSession,
    log,
    directory,
    publicRooms,
    relations,
    hierarchy,
    eventTimes: new EventTimes({ db, rooms, client, serverName }),
    search: new Search(db, rooms, relations),
    userDirectory: new UserDirectory({ db, rooms, serverName, profile: options.profile }),
    userExists: options.userExists,
    reports: new Reports(db, log),
    showFor: showFor(db, rooms),
  };
  const threadSubscriptions = new ThreadSubscriptions(options);
  const stickyEvents = new StickyEvents(options);
  const delayedEvents = new DelayedEvents({ db, rooms, log });
  return {
    directory,
    publicRooms,
    relations,
    showFor: parts.showFor,
    delayedEvents,
    threadSubscriptions,
    stickyEvents,
    syncParts: [stickyPart(stickyEvents, parts.showFor)],
    matrix: [
      directoryRouter({
        ...parts,
        remotePublicRooms: (server, query) => remotePublicRooms(client, server, query),
      }),
      contextRouter(parts),
      searchRouter(parts),
      userDirectoryRouter(parts),
      reportRouter(parts),
    ],
    admin: [reportAdminRouter(parts)],
    matrixRoot: [
      relationsRouter(parts),
      eventTimesRouter(parts),
      hierarchyRouter(parts),
      mutualRoomsRouter(parts),
      delayedEventsRouter({ delayedEvents, requireSession }),
      rtcRouter({ requireSession }),
      threadSubscriptionsRouter({ threadSubscriptions, positions: options.positions, requireSession }),
    ],
    federation: [federationDirectory({ ...parts, signed }), findRouter({ ...parts, signed })],
    start: () => delayedEvents.start(),
    close: async () => {
      stickyEvents.close();
      await delayedEvents.close();
    },
  };
}

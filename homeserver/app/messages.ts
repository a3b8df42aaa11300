/** Finding rooms and messages, and what belongs to a message: the parts of this subject, put together. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { FederationClient } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { contextRouter, eventTimesRouter } from '../features/search/context-router.ts';
import { delayedEventsRouter } from '../features/delayed-events/client-router.ts';
import { directoryRouter } from '../features/directory/client-router.ts';
import { hierarchyRouter } from '../features/spaces/client-router.ts';
import { relationsRouter } from '../features/relations/client-router.ts';
import { reportAdminRouter } from '../features/reports/admin-router.ts';
import { reportRouter } from '../features/reports/client-router.ts';
import { rtcRouter } from '../features/rtc/client-router.ts';
import { searchRouter } from '../features/search/client-router.ts';
import { showFor } from '../engine/client/show.ts';
import type { ShowFor } from '../engine/client/show.ts';
import { threadSubscriptionsRouter } from '../features/relations/thread-subscriptions-router.ts';
import { mutualRoomsRouter, userDirectoryRouter } from '../features/directory/user-directory-router.ts';
import type { SyncPart } from '../engine/sync/part.ts';
import type { Database } from '../database/database.ts';
import { DelayedEvents } from '../features/delayed-events/delayed-events.ts';
import { Directory } from '../features/directory/directory.ts';
import { PublicRooms } from '../features/directory/public-rooms.ts';
import { remoteAlias, remotePublicRooms } from '../features/directory/remote.ts';
import { UserDirectory } from '../features/directory/user-directory.ts';
import { directoryRouter as federationDirectory } from '../features/directory/federation-router.ts';
import { eventTimesRouter as federationEventTimes } from '../features/search/federation-router.ts';
import { hierarchyRouter as federationHierarchy } from '../features/spaces/federation-router.ts';
import { Relations } from '../features/relations/relations.ts';
import { ThreadSubscriptions } from '../features/relations/thread-subscriptions.ts';
import { Reports } from '../features/reports/reports.ts';
import type { Sender } from '../engine/rooms/ports.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { EventTimes } from '../features/search/event-times.ts';
import { Search } from '../features/search/search.ts';
import { Hierarchy } from '../features/spaces/hierarchy.ts';
import { RemoteSpaces } from '../features/spaces/remote-spaces.ts';
import { StickyEvents } from '../features/sticky-events/sticky-events.ts';
import { stickyPart } from '../features/sticky-events/sync-part.ts';
import type { Notifier } from '../engine/stream/notifier.ts';
import type { Positions } from '../engine/stream/positions.ts';

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
    federation: [
      federationDirectory({ ...parts, signed }),
      federationEventTimes({ ...parts, signed }),
      federationHierarchy({ ...parts, signed }),
    ],
    start: () => delayedEvents.start(),
    close: async () => {
      stickyEvents.close();
      await delayedEvents.close();
    },
  };
}

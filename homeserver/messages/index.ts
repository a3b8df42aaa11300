/** Finding rooms and messages, and what belongs to a message: the parts of this subject, put together. */
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { FederationClient } from '../../federation/client.ts';
import { delayedEventsRouter } from '../client-api/delayed-events.ts';
import { directoryRouter } from '../client-api/directory.ts';
import { relationsRouter } from '../client-api/relations.ts';
import { rtcRouter } from '../client-api/rtc.ts';
import { showFor } from '../client-api/show.ts';
import type { ShowFor } from '../client-api/show.ts';
import type { Database } from '../database/database.ts';
import { DelayedEvents } from '../delayed-events/delayed-events.ts';
import { Directory } from '../directory/directory.ts';
import { PublicRooms } from '../directory/public-rooms.ts';
import { remoteAlias, remotePublicRooms } from '../directory/remote.ts';
import { directoryRouter as federationDirectory } from '../federation-api/directory-router.ts';
import { Relations } from '../relations/relations.ts';
import type { Rooms } from '../rooms/rooms.ts';

export interface MessagesOptions {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly client: FederationClient;
  readonly requireSession: RequestHandler;
  /** Lets only signed requests of other servers pass. */
  readonly signed: RequestHandler;
  readonly isAdmin?: (userId: string) => Promise<boolean>;
  readonly log: Logger;
}

export interface Messages {
  readonly directory: Directory;
  readonly publicRooms: PublicRooms;
  readonly relations: Relations;
  readonly showFor: ShowFor;
  readonly delayedEvents: DelayedEvents;
  /** Routers at `/_matrix/client/v3`. */
  readonly matrix: Router[];
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
  const admin = options.isAdmin === undefined ? {} : { isAdmin: options.isAdmin };
  const directory = new Directory({
    db,
    serverName,
    rooms,
    remoteAlias: (server, alias) => remoteAlias(client, server, alias),
    ...admin,
  });
  const publicRooms = new PublicRooms(db, rooms);
  const relations = new Relations(db, rooms);
  const show = showFor(db, rooms);
  const delayedEvents = new DelayedEvents({ db, rooms, log });
  return {
    directory,
    publicRooms,
    relations,
    showFor: show,
    delayedEvents,
    matrix: [
      directoryRouter({
        rooms,
        directory,
        publicRooms,
        serverName,
        remotePublicRooms: (server, query) => remotePublicRooms(client, server, query),
        requireSession,
        ...admin,
      }),
    ],
    matrixRoot: [
      relationsRouter({ relations, showFor: show, requireSession }),
      delayedEventsRouter({ delayedEvents, requireSession }),
      rtcRouter({ requireSession }),
    ],
    federation: [federationDirectory({ serverName, directory, publicRooms, signed })],
    start: () => delayedEvents.start(),
    close: () => delayedEvents.close(),
  };
}

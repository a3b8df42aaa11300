/** Puts aliases, the room directory and the user directory together. */
import type { RequestHandler } from 'express';
import type { FederationClient } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { Feature } from '../../engine/feature.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Visibility } from '../../engine/visibility.ts';
import { directoryRouter } from './client-router.ts';
import { Directory } from './directory.ts';
import { directoryRouter as federationRouter } from './federation-router.ts';
import { PublicRooms } from './public-rooms.ts';
import { remoteAlias, remotePublicRooms } from './remote.ts';
import { mutualRoomsRouter, userDirectoryRouter } from './user-directory-router.ts';
import { UserDirectory } from './user-directory.ts';

export interface DirectoryDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly client: FederationClient;
  readonly visibility: Visibility;
  /** Display name and avatar of a local user: `displayname`, `avatar_url`. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly requireSession: RequestHandler;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
}

export interface DirectoryFeature extends Feature {
  readonly directory: Directory;
  readonly publicRooms: PublicRooms;
}

export function makeDirectory(deps: DirectoryDeps): DirectoryFeature {
  const { serverName, db, rooms, client, visibility } = deps;
  const directory = new Directory({
    db,
    serverName,
    rooms,
    visibility,
    remoteAlias: (server, alias) => remoteAlias(client, server, alias),
  });
  const publicRooms = new PublicRooms(db, rooms, visibility);
  const own = { ...deps, directory, publicRooms, userDirectory: new UserDirectory(deps) };
  return {
    directory,
    publicRooms,
    client: [
      directoryRouter({ ...own, remotePublicRooms: (server, query) => remotePublicRooms(client, server, query) }),
      userDirectoryRouter(own),
    ],
    matrix: [mutualRoomsRouter(own)],
    federation: [federationRouter(own)],
  };
}

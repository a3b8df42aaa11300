/** Puts spaces together. */
import type { RequestHandler } from 'express';
import type { FederationClient } from '../../../federation/client.ts';
import type { Database } from '../../database/database.ts';
import type { RoomAliases } from '../../engine/client/room-aliases.ts';
import type { Feature } from '../../engine/feature.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Visibility } from '../../engine/visibility.ts';
import { hierarchyRouter } from './client-router.ts';
import { hierarchyRouter as federationRouter } from './federation-router.ts';
import { Hierarchy } from './hierarchy.ts';
import { RemoteSpaces } from './remote-spaces.ts';

export interface SpacesDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly client: FederationClient;
  readonly visibility: Visibility;
  readonly directory: Pick<RoomAliases, 'resolve'>;
  readonly requireSession: RequestHandler;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
}

export function makeSpaces(deps: SpacesDeps): Feature {
  const { serverName, client } = deps;
  const own = { ...deps, hierarchy: new Hierarchy({ ...deps, remote: new RemoteSpaces(client, serverName) }) };
  return { matrix: [hierarchyRouter(own)], federation: [federationRouter(own)] };
}

/** Puts search, context and events by time together. */
import type { RequestHandler } from 'express';
import type { FederationClient } from '../../../federation/client.ts';
import type { Database } from '../../database/database.ts';
import type { Bundles } from '../../engine/client/client-events.ts';
import type { Related } from '../../engine/client/event-filter.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import type { Feature } from '../../engine/feature.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { searchRouter } from './client-router.ts';
import { contextRouter, eventTimesRouter } from './context-router.ts';
import { EventTimes } from './event-times.ts';
import { eventTimesRouter as federationRouter } from './federation-router.ts';
import { Search } from './search.ts';

export interface SearchDeps {
  readonly serverName: string;
  readonly db: Database;
  readonly rooms: Rooms;
  readonly client: FederationClient;
  readonly relations: Bundles & Related;
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
}

export function makeSearch(deps: SearchDeps): Feature {
  const { db, rooms, relations } = deps;
  const own = { ...deps, eventTimes: new EventTimes(deps), search: new Search(db, rooms, relations) };
  return {
    client: [contextRouter(own), searchRouter(own)],
    matrix: [eventTimesRouter(own)],
    federation: [federationRouter(own)],
  };
}

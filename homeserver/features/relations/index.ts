/** Puts relations and thread subscriptions together. */
import type { RequestHandler } from 'express';
import type { ShowFor } from '../../engine/client/show.ts';
import type { Feature } from '../../engine/feature.ts';
import { relationsRouter } from './client-router.ts';
import { Relations } from './relations.ts';
import { threadSubscriptionsRouter } from './thread-subscriptions-router.ts';
import { ThreadSubscriptions } from './thread-subscriptions.ts';
import type { ThreadSubscriptionsOptions } from './thread-subscriptions.ts';

export interface RelationsDeps extends ThreadSubscriptionsOptions {
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
}

export interface RelationsFeature extends Feature {
  readonly relations: Relations;
}

export function makeRelations(deps: RelationsDeps): RelationsFeature {
  const { db, rooms, positions, requireSession } = deps;
  const relations = new Relations(db, rooms);
  const threadSubscriptions = new ThreadSubscriptions(deps);
  return {
    relations,
    matrix: [
      relationsRouter({ ...deps, relations }),
      threadSubscriptionsRouter({ threadSubscriptions, positions, requireSession }),
    ],
  };
}

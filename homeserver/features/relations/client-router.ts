/** Relations and threads in the Matrix client-server API. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { methods, MatrixError } from '../../base/errors.ts';
import { directionOf } from './relations.ts';
import type { Relations } from './relations.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface RelationsRouterOptions {
  readonly relations: Relations;
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 5;
const DEFAULT_THREADS = 20;
const MAX_LIMIT = 100;

/** Mounted at `/_matrix`. */
export function relationsRouter({ relations, showFor, requireSession }: RelationsRouterOptions): Router {
  const router = express.Router();

  const page = async (request: Request, response: Response): Promise<void> => {
    const { userId, deviceId } = requesterOf(response);
    const [from, to] = [queryText(request, 'from'), queryText(request, 'to')];
    const { relType, eventType } = request.params;
    const found = await relations.page(parameter(request, 'roomId'), userId, parameter(request, 'eventId'), {
      ...(typeof relType === 'string' ? { relType } : {}),
      ...(typeof eventType === 'string' ? { type: eventType } : {}),
      dir: directionOf(queryText(request, 'dir')),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      limit: Math.max(1, queryNumber(request, 'limit', DEFAULT_LIMIT, MAX_LIMIT)),
      recurse: queryText(request, 'recurse') === 'true',
    });
    response.json({
      chunk: await relations.show(found.events, userId, showFor(userId, deviceId)),
      ...(found.nextBatch === undefined ? {} : { next_batch: found.nextBatch }),
      ...(found.prevBatch === undefined ? {} : { prev_batch: found.prevBatch }),
      ...(found.recursionDepth === undefined ? {} : { recursion_depth: found.recursionDepth }),
    });
  };
  for (const end of ['', '/:relType', '/:relType/:eventType']) {
    methods(router, `/client/v1/rooms/:roomId/relations/:eventId${end}`, { get: [requireSession, page] });
  }

  methods(router, '/client/v1/rooms/:roomId/threads', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        const include = queryText(request, 'include') ?? 'all';
        if (include !== 'all' && include !== 'participated') {
          throw new MatrixError(400, 'M_INVALID_PARAM', 'include is malformed.');
        }
        const from = queryText(request, 'from');
        const found = await relations.threads(parameter(request, 'roomId'), userId, {
          ...(from === undefined ? {} : { from }),
          limit: Math.max(1, queryNumber(request, 'limit', DEFAULT_THREADS, MAX_LIMIT)),
          participated: include === 'participated',
        });
        response.json({
          chunk: await relations.show(found.events, userId, showFor(userId, deviceId)),
          ...(found.nextBatch === undefined ? {} : { next_batch: found.nextBatch }),
        });
      },
    ],
  });

  return router;
}

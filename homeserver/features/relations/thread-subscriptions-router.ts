/** Thread subscriptions in the Matrix client-server API. @see MSC4306, MSC4308 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { methods, MatrixError } from '../../base/errors.ts';
import { describeSubscriptions } from './thread-subscriptions.ts';
import type { ThreadSubscriptions } from './thread-subscriptions.ts';
import type { Positions } from '../../engine/stream/positions.ts';
import { readToken, tokenBefore } from '../../engine/stream/tokens.ts';
import { parameter, parseBody, queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface ThreadSubscriptionsRouterOptions {
  readonly threadSubscriptions: ThreadSubscriptions;
  readonly positions: Positions;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

const bodySchema = z.looseObject({ automatic: z.string().min(1).max(255).optional() });

/** Mounted at `/_matrix`. */
export function threadSubscriptionsRouter(options: ThreadSubscriptionsRouterOptions): Router {
  const { threadSubscriptions, positions, requireSession } = options;
  const router = express.Router();

  methods(router, '/client/unstable/io.element.msc4306/rooms/:roomId/thread/:eventId/subscription', {
    get: [
      requireSession,
      async (request, response) => {
        const [roomId, rootId] = [parameter(request, 'roomId'), parameter(request, 'eventId')];
        const found = await threadSubscriptions.get(requesterOf(response).userId, roomId, rootId);
        if (!found) throw new MatrixError(404, 'M_NOT_FOUND', 'You are not subscribed to this thread.');
        response.json({ automatic: found.automatic });
      },
    ],
    put: [
      requireSession,
      async (request, response) => {
        const [roomId, rootId] = [parameter(request, 'roomId'), parameter(request, 'eventId')];
        const { automatic } = parseBody(bodySchema, request.body);
        await threadSubscriptions.subscribe(requesterOf(response).userId, roomId, rootId, automatic);
        response.json({});
      },
    ],
    delete: [
      requireSession,
      async (request, response) => {
        const [roomId, rootId] = [parameter(request, 'roomId'), parameter(request, 'eventId')];
        await threadSubscriptions.unsubscribe(requesterOf(response).userId, roomId, rootId);
        response.json({});
      },
    ],
  });

  methods(router, '/client/unstable/io.element.msc4308/thread_subscriptions', {
    get: [
      requireSession,
      async (request, response) => {
        if (queryText(request, 'dir') !== 'b') throw new MatrixError(400, 'M_INVALID_PARAM', 'dir must be b.');
        const [from, to] = [queryText(request, 'from'), queryText(request, 'to')];
        const { changes, more } = await threadSubscriptions.changes(requesterOf(response).userId, {
          since: to === undefined ? undefined : readToken(to) - 1,
          upTo: from === undefined ? positions.current : readToken(from) - 1,
          limit: Math.max(1, queryNumber(request, 'limit', DEFAULT_LIMIT, MAX_LIMIT)),
        });
        const last = changes.at(-1);
        response.json({
          ...describeSubscriptions(changes),
          ...(more && last ? { end: tokenBefore(last.position) } : {}),
        });
      },
    ],
  });

  return router;
}

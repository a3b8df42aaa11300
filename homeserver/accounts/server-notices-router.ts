/** Server notices sent by administrators. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import { isJsonObject } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { ServerNotices } from './server-notices.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';

export interface ServerNoticesRouterOptions {
  readonly notices: ServerNotices;
  readonly requireSession: RequestHandler;
}

const noticeSchema = z.looseObject({
  user_id: z.string().max(255),
  type: z.string().max(255).default('m.room.message'),
  state_key: z.string().max(255).optional(),
  content: z.custom<JsonObject>(isJsonObject, 'must be an object'),
});

/** Mounted at the root of the client server: `/_synapse/admin/v1/send_server_notice`, as Synapse has it. */
export function serverNoticesRouter({ notices, requireSession }: ServerNoticesRouterOptions): Router {
  const router = express.Router();
  const send = async (request: Request, response: Response, transactionId?: string): Promise<void> => {
    const { userId, admin } = requesterOf(response);
    if (!admin) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a server administrator.');
    const body = parseBody(noticeSchema, request.body);
    const eventId = await notices.send({
      userId: body.user_id,
      type: body.type,
      stateKey: body.state_key,
      content: body.content,
      transactionId: transactionId === undefined ? undefined : `${userId} ${transactionId}`,
    });
    response.json({ event_id: eventId });
  };
  methods(router, '/_synapse/admin/v1/send_server_notice', {
    post: [requireSession, async (request, response) => send(request, response)],
  });
  methods(router, '/_synapse/admin/v1/send_server_notice/:transactionId', {
    put: [requireSession, async (request, response) => send(request, response, parameter(request, 'transactionId'))],
  });
  return router;
}

/** Mounted at `/_matrix/client/v3`, before the router of rooms. */
export function serverNoticesGuard({ notices, requireSession }: ServerNoticesRouterOptions): Router {
  const router = express.Router();
  router.post('/rooms/:roomId/leave', requireSession, async (request, response, next) => {
    await notices.requireMayLeave(parameter(request, 'roomId'), requesterOf(response).userId);
    next();
  });
  return router;
}

/** Presence in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { methods, MatrixError } from '../../base/errors.ts';
import { PRESENCES } from '../../engine/sync/presence-state.ts';
import { presenceContent } from './presence.ts';
import type { Presence } from './presence.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface PresenceRouterOptions {
  readonly presence: Presence;
  readonly rooms: RoomReader;
  readonly requireSession: RequestHandler;
}

const bodySchema = z.looseObject({ presence: z.enum(PRESENCES), status_msg: z.string().max(1000).nullish() });

/** Mounted at `/_matrix/client/v3`. */
export function presenceRouter({ presence, rooms, requireSession }: PresenceRouterOptions): Router {
  const router = express.Router();
  methods(router, '/presence/:userId/status', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const other = parameter(request, 'userId');
        if (other !== userId && !(await rooms.sharedUsers(userId)).includes(other)) {
          throw new MatrixError(403, 'M_FORBIDDEN', 'You share no room with this user.');
        }
        const state = presence.of(other);
        response.json(state ? presenceContent(state) : { presence: 'offline' });
      },
    ],
    put: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        if (parameter(request, 'userId') !== userId) {
          throw new MatrixError(403, 'M_FORBIDDEN', 'You can only set your own presence.');
        }
        const body = parseBody(bodySchema, request.body);
        await presence.set(userId, body.presence, body.status_msg ?? undefined);
        response.json({});
      },
    ],
  });
  return router;
}

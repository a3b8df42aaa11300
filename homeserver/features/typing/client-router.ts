/** Typing in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { methods, MatrixError } from '../../base/errors.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { Typing } from './typing.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface TypingRouterOptions {
  readonly typing: Typing;
  readonly rooms: RoomReader;
  readonly requireSession: RequestHandler;
}

// Some clients send 1 and 0, which Synapse accepts.
const truth = z.union([z.boolean(), z.literal([0, 1]).transform(Boolean)]);
const bodySchema = z.looseObject({ typing: truth, timeout: z.number().int().min(0).optional() });
const DEFAULT_MS = 30_000;

/** Mounted at `/_matrix/client/v3`. */
export function typingRouter({ typing, rooms, requireSession }: TypingRouterOptions): Router {
  const router = express.Router();
  methods(router, '/rooms/:roomId/typing/:userId', {
    put: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const roomId = parameter(request, 'roomId');
        if (parameter(request, 'userId') !== userId) {
          throw new MatrixError(403, 'M_FORBIDDEN', 'You can only set your own typing state.');
        }
        const body = parseBody(bodySchema, request.body);
        if ((await rooms.membership(roomId, userId)) !== 'join') {
          throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
        }
        await typing.set(roomId, userId, body.typing ? (body.timeout ?? DEFAULT_MS) : undefined);
        response.json({});
      },
    ],
  });
  return router;
}

/** Reports of events, rooms and users in the Matrix client-server API. @see "Reporting Content" */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { isUserId } from '../../../federation/identifiers.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Reports } from './reports.ts';
import type { Visibility } from '../../engine/visibility.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';

export interface ReportRouterOptions {
  readonly reports: Reports;
  readonly rooms: RoomViews;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly visibility: Visibility;
  readonly requireSession: RequestHandler;
}

const eventSchema = z.looseObject({
  reason: z.string().max(5000).nullish(),
  score: z.number().int().min(-100).max(100).nullish(),
});
const reasonSchema = z.looseObject({ reason: z.string().max(5000) });

/** Mounted at `/_matrix/client/v3`. */
export function reportRouter(options: ReportRouterOptions): Router {
  const { reports, rooms, userExists, visibility, requireSession } = options;
  const router = express.Router();

  methods(router, '/rooms/:roomId/report/:eventId', {
    post: [
      requireSession,
      async (request, response) => {
        const reporter = requesterOf(response).userId;
        const [roomId, eventId] = [parameter(request, 'roomId'), parameter(request, 'eventId')];
        const body = parseBody(eventSchema, request.body);
        if ((await rooms.membership(roomId, reporter)) !== 'join') {
          throw new MatrixError(404, 'M_NOT_FOUND', 'No such event, or you may not see it.');
        }
        await rooms.visibleEvent(roomId, reporter, eventId);
        await reports.add(reporter, { roomId, eventId, reason: body.reason, score: body.score });
        response.json({});
      },
    ],
  });

  methods(router, '/rooms/:roomId/report', {
    post: [
      requireSession,
      async (request, response) => {
        const roomId = parameter(request, 'roomId');
        const { reason } = parseBody(reasonSchema, request.body);
        if (!(await rooms.version(roomId))) {
          throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
        }
        await reports.add(requesterOf(response).userId, { roomId, reason });
        response.json({});
      },
    ],
  });

  methods(router, '/users/:userId/report', {
    post: [
      requireSession,
      async (request, response) => {
        const userId = parameter(request, 'userId');
        const { reason } = parseBody(reasonSchema, request.body);
        if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a user id.');
        const reporter = requesterOf(response).userId;
        // Whether a user exists is not revealed: reports of unknown users are accepted and dropped.
        const isKnown = (await userExists(userId)) && (await visibility.maySee(reporter, userId));
        if (isKnown) await reports.add(reporter, { userId, reason });
        response.json({});
      },
    ],
  });

  return router;
}

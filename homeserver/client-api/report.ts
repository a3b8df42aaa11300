/** Reports of events, rooms and people in the Matrix client-server API. @see "Reporting Content" */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isUserId } from '../../federation/identifiers.ts';
import type { Database } from '../database/database.ts';
import { methods, MatrixError } from '../errors.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { parameter, parseBody, requesterOf } from './parse.ts';

export interface ReportRouterOptions {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly requireSession: RequestHandler;
  readonly log: Logger;
}

interface Report {
  readonly roomId?: string;
  readonly eventId?: string;
  readonly userId?: string;
  readonly reason?: string | null | undefined;
  readonly score?: number | null | undefined;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_A_DAY = 200;

const eventSchema = z.looseObject({
  reason: z.string().max(5000).nullish(),
  score: z.number().int().min(-100).max(100).nullish(),
});
const reasonSchema = z.looseObject({ reason: z.string().max(5000) });

/** Mounted at `/_matrix/client/v3`. */
export function reportRouter({ db, rooms, userExists, requireSession, log }: ReportRouterOptions): Router {
  const router = express.Router();

  async function keep(reporter: string, report: Report): Promise<void> {
    const now = Date.now();
    const [counted] = await db.query<{ count: number }>(
      'SELECT count(*) AS count FROM reports WHERE reporter = $1 AND reported_at > $2',
      [reporter, now - DAY_MS],
    );
    if ((counted?.count ?? 0) >= MAX_A_DAY) {
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'You have reported a lot today.', { retry_after_ms: DAY_MS });
    }
    await db.query(
      `INSERT INTO reports (reporter, room_id, event_id, user_id, reason, score, reported_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [
        reporter,
        report.roomId ?? null,
        report.eventId ?? null,
        report.userId ?? null,
        report.reason?.replaceAll('\0', '') ?? null,
        report.score ?? null,
        now,
      ],
    );
    // What was written is for the eyes of those who look after the server, not for its log.
    const { roomId, eventId, userId } = report;
    log.info({ reporter, roomId, eventId, userId }, 'something was reported');
  }

  methods(router, '/rooms/:roomId/report/:eventId', {
    post: [
      requireSession,
      async (request, response) => {
        const reporter = requesterOf(response).userId;
        const [roomId, eventId] = [parameter(request, 'roomId'), parameter(request, 'eventId')];
        const body = parseBody(eventSchema, request.body);
        if ((await rooms.membership(roomId, reporter)) !== 'join') {
          throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such event, or you may not see it.');
        }
        await rooms.visibleEvent(roomId, reporter, eventId);
        await keep(reporter, { roomId, eventId, reason: body.reason, score: body.score });
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
        await keep(requesterOf(response).userId, { roomId, reason });
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
        if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is no user id.');
        const reporter = requesterOf(response).userId;
        // Whether somebody exists is not told: an unknown person is reported into the void.
        if (await userExists(userId)) await keep(reporter, { userId, reason });
        response.json({});
      },
    ],
  });

  return router;
}

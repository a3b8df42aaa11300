/**
 * Report administration, with the endpoints and formats of Synapse's admin API, for which there are tools. Reports of
 * rooms and users are listed with those of events.
 *
 * @see Synapse's admin API, "Event reports"
 */
import express from 'express';
import type { Request, RequestHandler, Router } from 'express';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Report, Reports } from './reports.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';
import type { ShowFor } from '../../engine/client/show.ts';

export interface ReportAdminRouterOptions {
  readonly reports: Reports;
  readonly rooms: RoomReader;
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

const requireAdmin: RequestHandler = (_request, response, next) => {
  if (!requesterOf(response).admin) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a server administrator.');
  next();
};

/** Mounted at `/_synapse/admin`. */
export function reportAdminRouter({ reports, rooms, showFor, requireSession }: ReportAdminRouterOptions): Router {
  const router = express.Router();
  const before = [requireSession, requireAdmin];

  methods(router, '/v1/event_reports', {
    get: [
      ...before,
      async (request, response) => {
        const from = queryNumber(request, 'from', 0, Number.MAX_SAFE_INTEGER);
        const limit = Math.max(1, queryNumber(request, 'limit', DEFAULT_LIMIT, MAX_LIMIT));
        const [reporter, roomId] = [queryText(request, 'user_id'), queryText(request, 'room_id')];
        const { reports: found, total } = await reports.list({
          from,
          limit,
          newestFirst: queryText(request, 'dir') !== 'f',
          ...(reporter === undefined ? {} : { reporter }),
          ...(roomId === undefined ? {} : { roomId }),
        });
        response.json({
          event_reports: await Promise.all(found.map((report) => described(report))),
          total,
          ...(from + found.length < total ? { next_token: from + found.length } : {}),
        });
      },
    ],
  });

  methods(router, '/v1/event_reports/:reportId', {
    get: [
      ...before,
      async (request, response) => {
        const report = await reports.get(idOf(request));
        if (!report) throw new MatrixError(404, 'M_NOT_FOUND', 'No such report.');
        const event = report.eventId === undefined ? undefined : await rooms.event(report.eventId);
        const { userId, deviceId } = requesterOf(response);
        response.json({
          ...(await described(report)),
          ...(event === undefined ? {} : { event_json: await showFor(userId, deviceId, true)(event) }),
        });
      },
    ],
    delete: [
      ...before,
      async (request, response) => {
        if (!(await reports.remove(idOf(request)))) {
          throw new MatrixError(404, 'M_NOT_FOUND', 'No such report.');
        }
        response.json({});
      },
    ],
  });

  async function described(report: Report): Promise<JsonObject> {
    const { roomId, eventId } = report;
    const event = eventId === undefined ? undefined : await rooms.event(eventId);
    const name = roomId === undefined ? undefined : await rooms.stateEvent(roomId, 'm.room.name', '');
    const alias = roomId === undefined ? undefined : await rooms.stateEvent(roomId, 'm.room.canonical_alias', '');
    return {
      id: report.id,
      received_ts: report.reportedAt,
      user_id: report.reporter,
      room_id: roomId ?? null,
      event_id: eventId ?? null,
      reported_user_id: report.userId ?? null,
      reason: report.reason ?? null,
      score: report.score ?? null,
      sender: event?.pdu.sender ?? null,
      name: name?.pdu.content['name'] ?? null,
      canonical_alias: alias?.pdu.content['alias'] ?? null,
    };
  }

  return router;
}

/** @throws MatrixError 400 */
function idOf(request: Request): number {
  const id = parameter(request, 'reportId');
  if (!/^[0-9]{1,15}$/.test(id)) throw new MatrixError(400, 'M_INVALID_PARAM', 'The id of the report is malformed.');
  return Number(id);
}

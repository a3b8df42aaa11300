/** The context of an event, and the event at a time, in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { around } from './around.ts';
import type { EventTimes } from './event-times.ts';
import { isEmpty, membersIn, parseEventFilter, passing } from '../../engine/client/event-filter.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import type { Bundles } from '../../engine/client/client-events.ts';
import type { Related } from '../../engine/client/event-filter.ts';

export interface ContextRouterOptions {
  readonly rooms: Rooms;
  readonly relations: Bundles & Related;
  readonly eventTimes: EventTimes;
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 100;

/** Mounted at `/_matrix/client/v3`. */
export function contextRouter({ rooms, relations, showFor, requireSession }: ContextRouterOptions): Router {
  const router = express.Router();
  methods(router, '/rooms/:roomId/context/:eventId', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        const roomId = parameter(request, 'roomId');
        // Whether an event exists is not revealed to somebody outside.
        await rooms.requireStanding(roomId, userId);
        const event = await rooms.visibleEvent(roomId, userId, parameter(request, 'eventId'));
        const filter = parseEventFilter(queryText(request, 'filter'));
        const limit = queryNumber(request, 'limit', DEFAULT_LIMIT, MAX_LIMIT);
        const found = await around(rooms, event, userId, {
          before: Math.floor(limit / 2),
          after: Math.ceil(limit / 2),
          ...(isEmpty(filter) ? {} : { wanted: (events) => passing(relations, filter, events) }),
        });
        const all = [...found.before, event, ...found.after];
        const state =
          filter.lazy_load_members === true
            ? [
                ...[...(await rooms.stateAfter(found.after.at(-1) ?? event)).values()].filter(
                  ({ pdu }) => pdu.type !== 'm.room.member',
                ),
                ...(await membersIn(rooms, all)),
              ]
            : [...(await rooms.stateAfter(found.after.at(-1) ?? event)).values()];
        const show = showFor(userId, deviceId);
        const shown = await relations.show(all, userId, show);
        response.json({
          event: shown[found.before.length],
          events_before: shown.slice(0, found.before.length),
          events_after: shown.slice(found.before.length + 1),
          start: found.start,
          end: found.end,
          state: await Promise.all(state.map(showFor(userId, deviceId, true))),
        });
      },
    ],
  });
  return router;
}

/** Mounted at `/_matrix`. */
export function eventTimesRouter({ eventTimes, requireSession }: ContextRouterOptions): Router {
  const router = express.Router();
  methods(router, '/client/v1/rooms/:roomId/timestamp_to_event', {
    get: [
      requireSession,
      async (request, response) => {
        const { at, dir } = timeOf(queryText(request, 'ts'), queryText(request, 'dir'));
        const found = await eventTimes.forUser(parameter(request, 'roomId'), requesterOf(response).userId, at, dir);
        response.json({ event_id: found.eventId, origin_server_ts: found.at });
      },
    ],
  });
  return router;
}

/** @throws MatrixError 400 */
export function timeOf(ts: unknown, dir: unknown): { at: number; dir: 'b' | 'f' } {
  if (typeof ts !== 'string' || !/^[0-9]{1,15}$/.test(ts)) {
    throw new MatrixError(400, 'M_INVALID_PARAM', 'ts is missing or malformed.');
  }
  if (dir !== 'b' && dir !== 'f') throw new MatrixError(400, 'M_INVALID_PARAM', 'dir is missing or malformed.');
  return { at: Number(ts), dir };
}

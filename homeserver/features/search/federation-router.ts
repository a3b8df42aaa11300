/** The event at a time, for other servers. */
import type { RequestHandler, Router } from 'express';
import { timeOf } from './context-router.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { EventTimes } from './event-times.ts';
import { signedRouter } from '../../engine/federation/authenticate.ts';
import { checkAccess, originOf, parameters } from '../../engine/federation/membership-router.ts';

export interface EventTimesRouterOptions {
  readonly rooms: Rooms;
  readonly eventTimes: EventTimes;
  readonly signed: RequestHandler;
}

/** Mounted at `/_matrix/federation`. */
export function eventTimesRouter({ rooms, eventTimes, signed }: EventTimesRouterOptions): Router {
  const router = signedRouter(signed);

  methods(router, '/v1/timestamp_to_event/:roomId', {
    get: async (request, response) => {
      const { roomId } = parameters(request, 'roomId');
      const origin = originOf(response);
      await checkAccess(rooms, roomId, origin);
      if (!(await rooms.joinedServers(roomId)).has(origin)) {
        throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is not in the room.');
      }
      const { at, dir } = timeOf(request.query['ts'], request.query['dir']);
      const found = await eventTimes.forServer(roomId, at, dir);
      response.json({ event_id: found.eventId, origin_server_ts: found.at });
    },
  });

  return router;
}

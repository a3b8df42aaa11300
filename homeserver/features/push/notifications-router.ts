/** The notifications of a user. @see Matrix specification, client-server API, "Listing Notifications" */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Notifications } from './notifications.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { ClientEvents } from '../../engine/client/client-events.ts';
import { queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface NotificationsRouterOptions {
  readonly rooms: RoomReader;
  readonly notifications: Notifications;
  readonly clientEvents: ClientEvents;
  readonly requireSession: RequestHandler;
}

const MAX_PAGE = 100;

/** Mounted at `/_matrix/client/v3`. */
export function notificationsRouter(options: NotificationsRouterOptions): Router {
  const { rooms, notifications, clientEvents, requireSession } = options;
  const router = express.Router();
  methods(router, '/notifications', {
    get: [
      requireSession,
      async (request, response) => {
        const requester = requesterOf(response);
        const from = queryText(request, 'from');
        if (from !== undefined && !/^[0-9]{1,15}$/.test(from)) {
          throw new MatrixError(400, 'M_INVALID_PARAM', 'from is malformed.');
        }
        const limit = Math.max(1, queryNumber(request, 'limit', 20, MAX_PAGE));
        const page = await notifications.page(requester.userId, {
          before: from === undefined ? undefined : Number(from),
          limit,
          onlyHighlights: (queryText(request, 'only') ?? '').split(',').includes('highlight'),
        });
        const events = await rooms.events(page.map((notice) => notice.eventId));
        const show = clientEvents.inBatches(requester, true);
        const list = await Promise.all(
          page.map(async ({ eventId, roomId, actions, read, at }) => {
            const event = events.get(eventId);
            return event && { actions, event: await show(event), read, room_id: roomId, ts: at };
          }),
        );
        const last = page.at(-1);
        response.json({
          notifications: list.filter((entry) => entry !== undefined),
          ...(page.length === limit && last ? { next_token: String(last.position) } : {}),
        });
      },
    ],
  });
  return router;
}

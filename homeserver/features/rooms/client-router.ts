/**
 * Rooms in the Matrix client-server API. Each router parses, calls the room engine and responds; authentication and
 * rate limits are here.
 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { creationRouter } from './creation-router.ts';
import type { CreationRouterOptions } from './creation-router.ts';
import { membersRouter } from './members-router.ts';
import type { MembersRouterOptions } from './members-router.ts';
import { membershipRouter } from './membership-router.ts';
import type { MembershipRouterOptions } from './membership-router.ts';
import { messagesRouter } from './messages-router.ts';
import type { MessagesRouterOptions } from './messages-router.ts';
import { sendingRouter } from './sending-router.ts';
import type { SendingRouterOptions } from './sending-router.ts';
import { stateRouter } from './state-router.ts';
import type { StateRouterOptions } from './state-router.ts';

export interface RoomsRouterOptions
  extends
    CreationRouterOptions,
    MembershipRouterOptions,
    SendingRouterOptions,
    StateRouterOptions,
    MessagesRouterOptions,
    MembersRouterOptions {
  readonly rooms: Rooms;
  readonly requireSession: RequestHandler;
  /** Rate limit for events of a user. */
  readonly limitSending: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function roomsRouter(options: RoomsRouterOptions): Router {
  const { requireSession, limitSending } = options;
  const router = express.Router();
  router.use(['/createRoom', '/join', '/knock', '/joined_rooms', '/rooms'], requireSession);
  router.use(['/createRoom', '/join', '/knock', '/rooms'], (request, response, next) => {
    if (request.method === 'GET') next();
    else return limitSending(request, response, next);
  });

  router.use(
    creationRouter(options),
    membershipRouter(options),
    sendingRouter(options),
    stateRouter(options),
    messagesRouter(options),
    membersRouter(options),
  );
  return router;
}

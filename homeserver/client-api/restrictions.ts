/**
 * Accounts that administrators have locked or suspended. Who is locked can do nothing but log out; who is suspended can
 * read, leave and take back what they wrote.
 *
 * @see Matrix specification, client-server API, "Account locking" and "Account suspension"
 */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import type { Account, Accounts, Restriction } from '../accounts/accounts.ts';
import type { Sessions } from '../accounts/sessions.ts';
import { methods, MatrixError } from '../errors.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { parameter, parseBody, requesterOf } from './parse.ts';

export interface RestrictionsRouterOptions {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly requireSession: RequestHandler;
}

/** The endpoint of each, which is also the name of its state in requests and answers. */
const PATHS: readonly { path: string; restriction: Restriction }[] = [
  { path: 'lock', restriction: 'locked' },
  { path: 'suspend', restriction: 'suspended' },
];

/** Mounted at `/_matrix`: `/client/v1/admin/lock` and `/client/v1/admin/suspend`. */
export function restrictionsRouter({ accounts, sessions, requireSession }: RestrictionsRouterOptions): Router {
  const router = express.Router();
  for (const { path, restriction } of PATHS) {
    const schema = z.looseObject({ [restriction]: z.boolean() });
    methods(router, `/client/v1/admin/${path}/:userId`, {
      get: [
        requireSession,
        async (request, response) => {
          const account = await accountFor(request, response);
          response.json({ [restriction]: account[restriction] });
        },
      ],
      put: [
        requireSession,
        async (request, response) => {
          const account = await accountFor(request, response);
          if (account.userId === requesterOf(response).userId || account.admin) {
            throw new MatrixError(403, 'M_FORBIDDEN', 'Administrators can be neither locked nor suspended.');
          }
          const on = parseBody(schema, request.body)[restriction] === true;
          await accounts.restrict(account.userId, restriction, on);
          if (on) await sessions.interrupt(account.userId);
          response.json({ [restriction]: on });
        },
      ],
    });
  }

  /** @throws MatrixError 403 for who is no administrator, 400 for people of other servers, 404 for unknown ones */
  async function accountFor(request: Request, response: Response): Promise<Account> {
    if (!requesterOf(response).admin) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not an administrator.');
    const userId = parameter(request, 'userId');
    if (accounts.localpart(userId) === undefined) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This is nobody of this server.');
    }
    const account = await accounts.find(userId);
    if (!account || account.deactivated) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such person here.');
    return account;
  }

  return router;
}

const REFUSED = {
  post: [
    '/createRoom',
    '/join/:room',
    '/knock/:room',
    '/rooms/:room/join',
    '/rooms/:room/invite',
    '/rooms/:room/kick',
    '/rooms/:room/ban',
    '/rooms/:room/unban',
    '/rooms/:room/upgrade',
    '/rooms/:room/send/:type',
  ],
  put: ['/rooms/:room/send/:type/:id', '/profile/:userId/:field', '/directory/room/:alias', '/directory/list/room/:id'],
  delete: ['/profile/:userId/:field', '/directory/room/:alias'],
};

/** Keeps suspended people from what changes anything for others. Mounted at `/_matrix/client/v3`, before the rest. */
export function suspensionGuard(rooms: Rooms, requireSession: RequestHandler): Router {
  const router = express.Router();
  const refuse: RequestHandler = (_request, response, next) => {
    if (requesterOf(response).suspended) throw suspended();
    next();
  };
  router.post(REFUSED.post, requireSession, refuse);
  router.put(REFUSED.put, requireSession, refuse);
  router.delete(REFUSED.delete, requireSession, refuse);
  router.put(
    ['/rooms/:room/state/:type', '/rooms/:room/state/:type/:key'],
    requireSession,
    (request, response, next) => {
      const { userId, suspended: is } = requesterOf(response);
      const { type, key } = request.params;
      const body: unknown = request.body;
      const leaves = type === 'm.room.member' && key === userId && leavingSchema.safeParse(body).success;
      if (is && !leaves) throw suspended();
      next();
    },
  );
  router.put('/rooms/:room/redact/:eventId/:id', requireSession, async (request, response, next) => {
    const { userId, suspended: is } = requesterOf(response);
    if (is && (await rooms.event(parameter(request, 'eventId')))?.pdu.sender !== userId) throw suspended();
    next();
  });
  return router;
}

const leavingSchema = z.looseObject({ membership: z.literal('leave') });

function suspended(): MatrixError {
  return new MatrixError(403, 'M_USER_SUSPENDED', 'Your account is suspended: you can read, but not write.');
}

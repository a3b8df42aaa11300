/**
 * Locking and suspending of accounts by administrators. What such users may still do is in accounts/standing.ts.
 *
 * @see Matrix specification, client-server API, "Account locking" and "Account suspension"
 */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import type { Account, Accounts, Restriction } from './accounts.ts';
import type { Tenants } from './tenants/tenants.ts';
import type { Sessions } from './sessions.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';

export interface RestrictionsRouterOptions {
  readonly accounts: Accounts;
  readonly tenants: Pick<Tenants, 'requireAdministers'>;
  readonly sessions: Sessions;
  readonly requireSession: RequestHandler;
}

/** The endpoint of each, which is also the field name in requests and responses. */
const PATHS: readonly { path: string; restriction: Restriction }[] = [
  { path: 'lock', restriction: 'locked' },
  { path: 'suspend', restriction: 'suspended' },
];

/** Mounted at `/_matrix`: `/client/v1/admin/lock` and `/client/v1/admin/suspend`. */
export function restrictionsRouter({ accounts, sessions, tenants, requireSession }: RestrictionsRouterOptions): Router {
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
            throw new MatrixError(403, 'M_FORBIDDEN', 'Administrators cannot be locked or suspended.');
          }
          const on = parseBody(schema, request.body)[restriction] === true;
          await accounts.restrict(account.userId, restriction, on);
          if (on) await sessions.interrupt(account.userId);
          response.json({ [restriction]: on });
        },
      ],
    });
  }

  /**
   * @throws MatrixError 403 for non-administrators, 400 for remote users, 404 for unknown ones
   *
   * @throws MatrixError 403 for who is no administrator, 400 for people of other servers, 404 for unknown ones
   */
  async function accountFor(request: Request, response: Response): Promise<Account> {
    const userId = parameter(request, 'userId');
    await tenants.requireAdministers(requesterOf(response), userId);
    if (accounts.localpart(userId) === undefined) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'No such user on this server.');
    }
    const account = await accounts.find(userId);
    if (!account || account.deactivated) throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
    return account;
  }

  return router;
}

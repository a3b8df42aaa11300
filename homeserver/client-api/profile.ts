/** Names of people. There are no pictures. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { isUserId } from '../../federation/identifiers.ts';
import { MAX_DISPLAY_NAME } from '../accounts/accounts.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { methods, MatrixError } from '../errors.ts';
import { parameter, parseBody, requesterOf } from './parse.ts';

export interface ProfileRouterOptions {
  readonly accounts: Accounts;
  readonly requireSession: RequestHandler;
  /** Asks another server for the name of somebody there; undefined when it says none. */
  readonly remoteName: (userId: string) => Promise<string | undefined>;
  /** Told after somebody has changed their name, so that the rooms hear of it. */
  readonly onNameChange: (userId: string, name: string) => void;
}

const nameSchema = z.looseObject({ displayname: z.string().max(MAX_DISPLAY_NAME) });

/**
 * Mounted at `/_matrix/client/v3`. Only logged-in people may ask, so that nobody can try out which accounts there are.
 */
export function profileRouter(options: ProfileRouterOptions): Router {
  const { accounts, requireSession, remoteName, onNameChange } = options;
  const router = express.Router();
  router.use('/profile', requireSession);

  async function nameOf(userId: string): Promise<string | undefined> {
    if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a user id.');
    if (accounts.localpart(userId) === undefined) return remoteName(userId);
    if (!(await accounts.exists(userId))) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such person here.');
    return accounts.displayName(userId);
  }

  methods(router, '/profile/:userId', {
    get: async (request, response) => {
      const displayname = await nameOf(parameter(request, 'userId'));
      response.json(displayname === undefined ? {} : { displayname });
    },
  });

  methods(router, '/profile/:userId/displayname', {
    get: async (request, response) => {
      const displayname = await nameOf(parameter(request, 'userId'));
      if (displayname === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'This person has no name.');
      response.json({ displayname });
    },
    put: async (request, response) => {
      const { userId, guest } = requesterOf(response);
      if (parameter(request, 'userId') !== userId) {
        throw new MatrixError(403, 'M_FORBIDDEN', 'You can change only your own name.');
      }
      // Others know a guest only by the name that was given at the door.
      if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests can not change their name.');
      const { displayname } = parseBody(nameSchema, request.body);
      await accounts.setDisplayName(userId, displayname);
      onNameChange(userId, await accounts.displayName(userId));
      response.json({});
    },
  });

  methods(router, '/profile/:userId/:key', {
    get: async (request) => {
      const key = parameter(request, 'key');
      await nameOf(parameter(request, 'userId'));
      throw new MatrixError(404, 'M_NOT_FOUND', `This person has no ${key}.`);
    },
    put: () => {
      throw new MatrixError(403, 'M_FORBIDDEN', 'Profiles here have names only.');
    },
  });

  return router;
}

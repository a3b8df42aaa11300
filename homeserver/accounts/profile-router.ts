/** Profiles of people: name, picture and further fields. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { isUserId } from '../../federation/identifiers.ts';
import { isJsonObject, member } from '../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import type { Accounts } from './accounts.ts';
import type { Profiles } from './profiles.ts';
import type { Requester } from '../base/requester.ts';
import type { PasswordConfig } from './passwords.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { parameter, requesterOf } from '../base/parse.ts';

export interface ProfileRouterOptions {
  readonly accounts: Accounts;
  readonly profiles: Profiles;
  readonly passwords: PasswordConfig;
  readonly requireSession: RequestHandler;
  readonly limitAnonymous: RequestHandler;
  /** Asks another server for the profile of somebody there. @throws MatrixError */
  readonly remoteProfile: (userId: string, field?: string) => Promise<JsonObject>;
}

/** A field whose name has at most 255 bytes has so many characters in the address at most. */
const MAX_KEY = 1024;

const BASIC = ['displayname', 'avatar_url'];

/**
 * Mounted at `/_matrix/client/v3`. Where anybody can make an account anybody may read profiles; otherwise only people
 * who are logged in, so that nobody can try out which accounts there are.
 */
export function profileRouter(options: ProfileRouterOptions): Router {
  const { accounts, profiles, passwords, requireSession, limitAnonymous, remoteProfile } = options;
  const router = express.Router();
  const mayRead = passwords.registration ? limitAnonymous : requireSession;

  async function profileOf(userId: string, field?: string): Promise<JsonObject> {
    if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a user id.');
    if (accounts.localpart(userId) === undefined) return remoteProfile(userId, field);
    const profile = await profiles.get(userId);
    if (profile === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such person here.');
    return profile;
  }

  methods(router, '/profile/:userId', {
    get: [
      mayRead,
      async (request, response) => {
        response.json(await profileOf(parameter(request, 'userId')));
      },
    ],
  });

  methods(router, '/profile/:userId/:key', {
    get: [
      mayRead,
      async (request, response) => {
        const key = parameter(request, 'key', MAX_KEY);
        const value = member(await profileOf(parameter(request, 'userId'), key), key);
        // An account may be without them; Synapse says so with 200.
        if (value === undefined && BASIC.includes(key)) {
          response.json({});
          return;
        }
        if (value === undefined) throw new MatrixError(404, 'M_NOT_FOUND', `This person has no ${key}.`);
        response.json({ [key]: value });
      },
    ],
    put: [
      requireSession,
      async (request, response) => {
        const userId = requireOwn(parameter(request, 'userId'), requesterOf(response), passwords.registration);
        const key = parameter(request, 'key', MAX_KEY);
        await profiles.set(userId, key, valueOf(request.body, key));
        response.json({});
      },
    ],
    delete: [
      requireSession,
      async (request, response) => {
        const userId = requireOwn(parameter(request, 'userId'), requesterOf(response), passwords.registration);
        await profiles.remove(userId, parameter(request, 'key', MAX_KEY));
        response.json({});
      },
    ],
  });

  return router;
}

/** @param open whether anybody can make an account, so that names say nothing anyway */
function requireOwn(asked: string, { userId, guest }: Requester, open: boolean): string {
  if (asked !== userId) throw new MatrixError(403, 'M_FORBIDDEN', 'You can change only your own profile.');
  // Others know a guest only by the name that was given at the door.
  if (guest && !open) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests can not change their profile.');
  return userId;
}

function valueOf(body: unknown, key: string): JsonValue {
  const value = isJsonObject(body) ? member(body, key) : undefined;
  if (value === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', `${key} is missing.`);
  return value;
}

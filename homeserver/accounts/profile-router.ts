/** Profiles: display name, avatar and further fields. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { isUserId } from '../../federation/identifiers.ts';
import { isJsonObject, member } from '../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import type { Accounts } from './accounts.ts';
import type { Profiles } from './profiles.ts';
import type { Visibility } from '../engine/visibility.ts';
import type { Requester } from '../base/requester.ts';
import type { PasswordConfig } from './passwords.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { parameter, requesterIn, requesterOf } from '../base/parse.ts';

export interface ProfileRouterOptions {
  readonly accounts: Accounts;
  readonly profiles: Profiles;
  readonly passwords: PasswordConfig;
  readonly visibility: Visibility;
  readonly requireSession: RequestHandler;
  readonly limitAnonymous: RequestHandler;
  /** Fetches a profile from another server. @throws MatrixError @throws MatrixError */
  readonly remoteProfile: (userId: string, field?: string) => Promise<JsonObject>;
}

/** Most characters in the URL for a field name of 255 bytes. */
const MAX_KEY = 1024;

const BASIC = ['displayname', 'avatar_url'];

/**
 * Mounted at `/_matrix/client/v3`. With open registration, anybody may read profiles; otherwise only authenticated
 * users, so that nobody can probe which accounts exist. Who may not know of a user gets the answer for nobody.
 */
export function profileRouter(options: ProfileRouterOptions): Router {
  const { accounts, profiles, passwords, visibility, requireSession, limitAnonymous, remoteProfile } = options;
  const router = express.Router();
  const mayRead = passwords.registration && visibility.isOpen ? limitAnonymous : requireSession;

  async function profileOf(reader: Requester | undefined, userId: string, field?: string): Promise<JsonObject> {
    if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a user id.');
    if (accounts.localpart(userId) === undefined) return remoteProfile(userId, field);
    const isKnown = reader === undefined || (await visibility.maySee(reader.userId, userId));
    const profile = isKnown ? await profiles.get(userId) : undefined;
    if (profile === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
    return profile;
  }

  methods(router, '/profile/:userId', {
    get: [
      mayRead,
      async (request, response) => {
        response.json(await profileOf(requesterIn(response), parameter(request, 'userId')));
      },
    ],
  });

  methods(router, '/profile/:userId/:key', {
    get: [
      mayRead,
      async (request, response) => {
        const key = parameter(request, 'key', MAX_KEY);
        const profile = await profileOf(requesterIn(response), parameter(request, 'userId'), key);
        const value = member(profile, key);
        // An account may have neither; Synapse returns 200 then.
        if (value === undefined && BASIC.includes(key)) {
          response.json({});
          return;
        }
        if (value === undefined) throw new MatrixError(404, 'M_NOT_FOUND', `This user has no ${key}.`);
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

/** @param open whether registration is open, so that names prove nothing anyway */
function requireOwn(asked: string, { userId, guest }: Requester, open: boolean): string {
  if (asked !== userId) throw new MatrixError(403, 'M_FORBIDDEN', 'You can only change your own profile.');
  // Others know guests only by the name with which they joined.
  if (guest && !open) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot change their profile.');
  return userId;
}

function valueOf(body: unknown, key: string): JsonValue {
  const value = isJsonObject(body) ? member(body, key) : undefined;
  if (value === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', `${key} is missing.`);
  return value;
}

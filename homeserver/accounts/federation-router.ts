/** Profiles and OpenID user info for other servers. */
import { Router } from 'express';
import type { RequestHandler } from 'express';
import { isUserId, serverOf } from '../../federation/identifiers.ts';
import { member } from '../../federation/json.ts';
import type { OpenIdTokens } from './openid-tokens.ts';
import type { Profiles } from './profiles.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { signedRouter } from '../engine/federation/authenticate.ts';

export interface AccountRouterOptions {
  readonly serverName: string;
  readonly profiles: Profiles;
  readonly openIdTokens: OpenIdTokens;
  readonly signed: RequestHandler;
}

const MAX_TOKEN_LENGTH = 200;

/** Mounted at `/_matrix/federation`. */
export function accountRouter({ serverName, profiles, openIdTokens, signed }: AccountRouterOptions): Router {
  const authenticated = signedRouter(signed);
  methods(authenticated, '/v1/query/profile', {
    get: async (request, response) => {
      const { user_id: userId, field } = request.query;
      if (typeof userId !== 'string') throw new MatrixError(400, 'M_MISSING_PARAM', 'user_id is missing.');
      if (!isUserId(userId) || serverOf(userId) !== serverName) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a user id of this server.');
      }
      const profile = await profiles.get(userId);
      if (profile === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
      if (typeof field !== 'string') {
        response.json(profile);
        return;
      }
      const value = member(profile, field);
      response.json(value === undefined ? {} : { [field]: value });
    },
  });

  // Called by services that are not homeservers, so unsigned.
  const open = Router();
  methods(open, '/v1/openid/userinfo', {
    get: async (request, response) => {
      const token = request.query['access_token'];
      if (typeof token !== 'string') throw new MatrixError(401, 'M_UNAUTHORIZED', 'access_token is missing.');
      const userId = token.length > MAX_TOKEN_LENGTH ? undefined : await openIdTokens.userOf(token);
      if (userId === undefined) throw new MatrixError(401, 'M_UNKNOWN_TOKEN', 'The token is unknown or has expired.');
      response.json({ sub: userId });
    },
  });
  return Router().use(authenticated, open);
}

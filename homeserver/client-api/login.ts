/** Log-in, refresh and log-out of the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { LoginTokens } from '../accounts/login-tokens.ts';
import type { Sessions, Tokens } from '../accounts/sessions.ts';
import { methods, MatrixError } from '../errors.ts';
import { parseBody, requesterOf } from './parse.ts';

export interface LoginRouterOptions {
  readonly publicUrl: string;
  /** Whether there is an identity provider. */
  readonly sso: boolean;
  readonly sessions: Sessions;
  readonly loginTokens: LoginTokens;
  readonly requireSession: RequestHandler;
  readonly limitLogin: RequestHandler;
}

const token = z.string().min(1).max(200);
const loginSchema = z.looseObject({
  type: z.string().max(100),
  token: token.optional(),
  device_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,100}$/, 'must be printable and at most 100 characters long')
    .optional(),
  initial_device_display_name: z.string().max(100).optional(),
  refresh_token: z.boolean().optional(),
});
const refreshSchema = z.looseObject({ refresh_token: token });

/** Mounted at `/_matrix/client/v3`. */
export function loginRouter(options: LoginRouterOptions): Router {
  const { publicUrl, sso, sessions, loginTokens, requireSession, limitLogin } = options;
  const router = express.Router();

  methods(router, '/login', {
    get: (_request, response) => {
      response.json({ flows: sso ? [{ type: 'm.login.sso' }, { type: 'm.login.token' }] : [] });
    },
    post: [
      limitLogin,
      async (request, response) => {
        const body = parseBody(loginSchema, request.body);
        if (body.type !== 'm.login.token') {
          throw new MatrixError(400, 'M_UNKNOWN', 'This way to log in is not offered here.');
        }
        if (body.token === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'The login token is missing.');
        const userId = loginTokens.redeem(body.token);
        if (userId === undefined) throw new MatrixError(403, 'M_FORBIDDEN', 'This log-in is used already or too old.');
        const { deviceId, ...tokens } = await sessions.create(userId, {
          deviceId: body.device_id,
          displayName: body.initial_device_display_name,
          refreshable: body.refresh_token,
        });
        response.json({
          user_id: userId,
          device_id: deviceId,
          ...tokensAnswer(tokens),
          well_known: { 'm.homeserver': { base_url: publicUrl } },
        });
      },
    ],
  });

  methods(router, '/refresh', {
    post: [
      limitLogin,
      async (request, response) => {
        const { refresh_token: refreshToken } = parseBody(refreshSchema, request.body);
        response.json(tokensAnswer(await sessions.refresh(refreshToken)));
      },
    ],
  });

  methods(router, '/logout', {
    post: [
      requireSession,
      async (_request, response) => {
        const { userId, deviceId } = requesterOf(response);
        await sessions.end(userId, deviceId);
        response.json({});
      },
    ],
  });

  methods(router, '/logout/all', {
    post: [
      requireSession,
      async (_request, response) => {
        await sessions.endAll(requesterOf(response).userId);
        response.json({});
      },
    ],
  });

  // Answers with tokens must not stay in any cache.
  const uncached = express.Router();
  uncached.use(['/login', '/refresh'], (_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  return uncached.use(router);
}

function tokensAnswer(tokens: Tokens): Record<string, unknown> {
  return {
    access_token: tokens.accessToken,
    ...(tokens.refreshToken === undefined ? {} : { refresh_token: tokens.refreshToken }),
    ...(tokens.expiresInMs === undefined ? {} : { expires_in_ms: tokens.expiresInMs }),
  };
}

/** Log-in, token refresh and log-out in the Matrix client-server API. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import { deactivated } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import type { LoginTokenHolder, LoginTokens } from './login-tokens.ts';
import { MAX_PASSWORD } from './passwords.ts';
import type { PasswordLogin } from './password-login.ts';
import { requireSession } from './require-session.ts';
import type { Sessions } from './sessions.ts';
import { clearTokenCookie, tokenProof } from './token-cookie.ts';
import type { Tokens } from './token-pairs.ts';
import { MAX_SERVICE_TOKEN } from './upstream/service-token.ts';
import type { Services } from './upstream/services.ts';
import type { Upstream } from './upstream/upstream.ts';
import { namedUser } from './user-identifier.ts';
import type { PasswordConfig } from './passwords.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { SERVICE_LOGIN } from '../base/names.ts';
import { parseBody, requesterOf } from '../base/parse.ts';

export interface LoginRouterOptions {
  readonly serverName: string;
  readonly publicUrl: string;
  /** Whether an identity provider is configured. */
  readonly sso: boolean;
  readonly passwords: PasswordConfig;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly loginTokens: LoginTokens;
  /** Where there is an identity provider. */
  readonly upstream?: Pick<Upstream, 'note' | 'admit' | 'logOut'>;
  /** Where there is an identity provider. */
  readonly services?: Pick<Services, 'logIn' | 'lifeMs'>;
  readonly passwordLogin: PasswordLogin;
  readonly limitLogin: RequestHandler;
}

const token = z.string().min(1).max(200);
/** The device of a service that names none. */
const SERVICE_DEVICE = 'SERVICE';
export const deviceIdSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be printable and at most 255 characters long');
export const deviceNameSchema = z.string().max(100);
const loginSchema = z.looseObject({
  type: z.string().max(100),
  token: z.string().min(1).max(MAX_SERVICE_TOKEN).optional(),
  identifier: z.looseObject({ type: z.string().max(100), user: z.string().max(300).optional() }).optional(),
  user: z.string().max(300).optional(),
  password: z.string().max(MAX_PASSWORD).optional(),
  device_id: deviceIdSchema.optional(),
  initial_device_display_name: deviceNameSchema.optional(),
  refresh_token: z.boolean().optional(),
});
type LoginBody = z.output<typeof loginSchema>;
const refreshSchema = z.looseObject({ refresh_token: token });

/** Mounted at `/_matrix/client/v3`. */
export function loginRouter(options: LoginRouterOptions): Router {
  const { sso, passwords, sessions, loginTokens, upstream, services, limitLogin } = options;
  // Locked users can still log out.
  const anySession = requireSession(sessions, true);
  const router = express.Router();
  const flows: Record<string, unknown>[] = [];
  if (passwords.login) flows.push({ type: 'm.login.password' });
  if (sso) flows.push({ type: 'm.login.sso' });
  if (flows.length > 0) flows.push({ type: 'm.login.token', get_login_token: true });
  if (services) flows.push({ type: SERVICE_LOGIN });

  methods(router, '/login', {
    get: (_request, response) => {
      response.json({ flows });
    },
    post: [
      limitLogin,
      async (request, response) => {
        const body = parseBody(loginSchema, request.body);
        if (!flows.some(({ type }) => type === body.type) || body.type === 'm.login.sso') {
          throw new MatrixError(400, 'M_UNKNOWN', 'This server does not offer this login type.');
        }
        if (services && body.type === SERVICE_LOGIN) {
          const userId = await services.logIn(requireToken(body));
          const { deviceId, ...tokens } = await sessions.renew(userId, {
            deviceId: body.device_id ?? SERVICE_DEVICE,
            displayName: body.initial_device_display_name,
            lifeMs: services.lifeMs,
          });
          response.json(answerOf(options, userId, deviceId, tokens));
          return;
        }
        const { userId, grant } =
          body.type === 'm.login.token'
            ? await byToken(loginTokens, body, request, response)
            : await byPassword(options, body, request.ip);
        const { deviceId, ...tokens } = await sessions.create(userId, {
          deviceId: body.device_id,
          displayName: body.initial_device_display_name,
          refreshable: body.refresh_token,
          within: async (device, transaction) => upstream?.note(device, grant, transaction),
        });
        await upstream?.admit(userId, deviceId, grant);
        response.json(answerOf(options, userId, deviceId, tokens));
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
      anySession,
      async (_request, response) => {
        const { userId, deviceId } = requesterOf(response);
        await upstream?.logOut(userId, deviceId);
        await sessions.end(userId, deviceId);
        response.json({});
      },
    ],
  });

  methods(router, '/logout/all', {
    post: [
      anySession,
      async (_request, response) => {
        const { userId, deviceId } = requesterOf(response);
        await upstream?.logOut(userId, deviceId);
        await sessions.endAll(userId);
        response.json({});
      },
    ],
  });

  // Responses with tokens must not be cached.
  const uncached = express.Router();
  uncached.use(['/login', '/refresh'], (_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  return uncached.use(router);
}

function answerOf(
  { serverName, publicUrl }: Pick<LoginRouterOptions, 'serverName' | 'publicUrl'>,
  userId: string,
  deviceId: string,
  tokens: Tokens,
): Record<string, unknown> {
  return {
    user_id: userId,
    device_id: deviceId,
    home_server: serverName,
    ...tokensAnswer(tokens),
    well_known: { 'm.homeserver': { base_url: publicUrl } },
  };
}

function requireToken({ token: given }: LoginBody): string {
  if (given === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'The token is missing.');
  return given;
}

async function byToken(
  loginTokens: LoginTokens,
  body: LoginBody,
  request: Request,
  response: Response,
): Promise<LoginTokenHolder> {
  const given = requireToken(body);
  const holder = await loginTokens.redeem(given, tokenProof(request, given));
  clearTokenCookie(request, response, given);
  if (holder === undefined) {
    throw new MatrixError(
      403,
      'M_FORBIDDEN',
      'The login token was already used, has expired, or belongs to another browser. Please log in again.',
    );
  }
  return holder;
}

async function byPassword(
  { accounts, passwordLogin }: LoginRouterOptions,
  body: LoginBody,
  address: string | undefined,
): Promise<LoginTokenHolder> {
  if (body.password === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'password is missing.');
  if (body.identifier === undefined && body.user === undefined) {
    throw new MatrixError(400, 'M_MISSING_PARAM', 'identifier is missing.');
  }
  const named = namedUser(body, accounts);
  const account = named === undefined ? undefined : await passwordLogin.check(named, body.password, address);
  if (account === undefined) throw new MatrixError(403, 'M_FORBIDDEN', 'The user name or the password is wrong.');
  if (account.deactivated) throw deactivated();
  return { userId: account.userId };
}

export function tokensAnswer(tokens: Tokens): Record<string, unknown> {
  return {
    access_token: tokens.accessToken,
    ...(tokens.refreshToken === undefined ? {} : { refresh_token: tokens.refreshToken }),
    ...(tokens.expiresInMs === undefined ? {} : { expires_in_ms: tokens.expiresInMs }),
  };
}

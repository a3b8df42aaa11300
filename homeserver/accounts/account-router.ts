/** The user's own account: whoami, password change and deactivation. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import type { Accounts } from './accounts.ts';
import type { LoginTokens } from './login-tokens.ts';
import { LOGIN_TOKEN_LIFE_MS } from './login-tokens.ts';
import { MAX_PASSWORD } from './passwords.ts';
import type { PasswordLogin } from './password-login.ts';
import type { Tenants } from './tenants/tenants.ts';
import type { Sessions } from './sessions.ts';
import type { Uia } from './uia.ts';
import type { Upstream } from './upstream/upstream.ts';
import type { PasswordConfig } from './passwords.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';

export interface AccountRouterOptions {
  readonly accounts: Accounts;
  readonly tenants: Pick<Tenants, 'requireAdministers'>;
  readonly sessions: Sessions;
  readonly passwordLogin: PasswordLogin;
  readonly passwords: PasswordConfig;
  readonly loginTokens: LoginTokens;
  readonly uia: Uia;
  /** Where there is an identity provider. */
  readonly upstream?: Pick<Upstream, 'grantOf'>;
  readonly requireSession: RequestHandler;
  readonly limitLogin: RequestHandler;
  /** Makes a deactivated user leave all rooms, in the background. */
  readonly leaveRooms: (userId: string) => void;
}

const passwordSchema = z.looseObject({
  new_password: z.string().min(1).max(MAX_PASSWORD, 'is too long').optional(),
  logout_devices: z.boolean().default(true),
});
const deactivateSchema = z.looseObject({ erase: z.boolean().optional() });

/** Mounted at `/_matrix/client/v3`. */
export function accountRouter(options: AccountRouterOptions): Router {
  const { accounts, sessions, passwordLogin, passwords, uia, requireSession, limitLogin, leaveRooms } = options;
  const router = express.Router();

  methods(router, '/account/whoami', {
    get: [
      requireSession,
      (_request, response) => {
        const { userId, deviceId, guest } = requesterOf(response);
        response.json({ user_id: userId, device_id: deviceId, is_guest: guest });
      },
    ],
  });

  methods(router, '/account/password', {
    post: [
      limitLogin,
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        if (!passwords.login) {
          throw new MatrixError(
            403,
            'M_FORBIDDEN',
            'Change your password at the identity provider of your organisation.',
          );
        }
        const body = parseBody(passwordSchema, request.body);
        await uia.confirm(userId, { operation: 'POST /account/password', body, address: request.ip });
        if (body.new_password === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'new_password is missing.');
        await accounts.setPassword(userId, await passwordLogin.hash(body.new_password));
        if (body.logout_devices) await sessions.endAll(userId, deviceId);
        response.json({});
      },
    ],
  });

  methods(router, '/account/deactivate', {
    post: [
      limitLogin,
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const body = parseBody(deactivateSchema, request.body);
        await uia.confirm(userId, { operation: 'POST /account/deactivate', body, address: request.ip });
        await accounts.deactivate(userId);
        await sessions.endAll(userId);
        leaveRooms(userId);
        response.json({ id_server_unbind_result: 'no-support' });
      },
    ],
  });

  return router;
}

/** Mounted at `/_matrix`: `/client/v1/login/get_token`. */
export function loginTokenRouter(options: AccountRouterOptions): Router {
  const { loginTokens, uia, upstream, requireSession, limitLogin } = options;
  const router = express.Router();
  methods(router, '/client/v1/login/get_token', {
    post: [
      limitLogin,
      requireSession,
      async (request, response) => {
        const { userId, deviceId, guest } = requesterOf(response);
        if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot log in on other devices.');
        // The new device ends with the session at the identity provider that has brought this one, also when that ends now.
        const grant = await upstream?.grantOf(userId, deviceId);
        await uia.confirm(userId, { operation: 'POST /login/get_token', body: request.body, address: request.ip });
        response.set('Cache-Control', 'no-store');
        response.json({ login_token: await loginTokens.issue({ userId, grant }), expires_in_ms: LOGIN_TOKEN_LIFE_MS });
      },
    ],
  });
  return router;
}

/** Mounted at `/_matrix/client/v3`: for administrators, and for everybody about themselves. */
export function whoisRouter({ accounts, sessions, tenants, requireSession }: AccountRouterOptions): Router {
  const router = express.Router();
  methods(router, '/admin/whois/:userId', {
    get: [
      requireSession,
      async (request, response) => {
        const requester = requesterOf(response);
        const asked = parameter(request, 'userId');
        if (asked !== requester.userId) await tenants.requireAdministers(requester, asked);
        if ((await accounts.find(asked)) === undefined) {
          throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.');
        }
        const connections = (await sessions.devices(asked)).map((device) => ({
          ip: device.lastSeenIp ?? '',
          last_seen: device.lastSeenAt,
          user_agent: device.userAgent ?? '',
        }));
        response.json({ user_id: asked, devices: { '': { sessions: [{ connections }] } } });
      },
    ],
  });
  return router;
}

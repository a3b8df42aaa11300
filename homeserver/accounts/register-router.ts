/** Registration: open if switched on, and with the shared secret. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { checkedName, MAX_DISPLAY_NAME } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import { MAX_PASSWORD } from './passwords.ts';
import type { PasswordLogin } from './password-login.ts';
import { Registrations } from './registrations.ts';
import type { Wishes } from './registrations.ts';
import { randomBase32 } from './secrets.ts';
import { SharedSecret } from './shared-secret.ts';
import type { NewSession, Sessions } from './sessions.ts';
import type { Uia } from './uia.ts';
import { chosenLocalpart } from './usernames.ts';
import type { PasswordConfig } from './passwords.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { deviceIdSchema, deviceNameSchema, tokensAnswer } from './login-router.ts';
import { parseBody, queryText } from '../base/parse.ts';

export interface RegisterRouterOptions {
  readonly serverName: string;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly passwordLogin: PasswordLogin;
  readonly uia: Uia;
  readonly passwords: PasswordConfig;
  readonly limitLogin: RequestHandler;
}

const username = z.string().max(300);
const password = z.string().min(1).max(MAX_PASSWORD, 'is too long');
const registerSchema = z.looseObject({
  username: username.optional(),
  password: password.optional(),
  device_id: deviceIdSchema.optional(),
  initial_device_display_name: deviceNameSchema.optional(),
  // Older clients send a number.
  inhibit_login: z.union([z.boolean(), z.literal([0, 1]).transform(Boolean)]).optional(),
  refresh_token: z.boolean().optional(),
  guest_access_token: z.string().max(500).optional(),
  auth: z.looseObject({ session: z.string().max(200).optional() }).optional(),
});
const sharedSecretSchema = z.looseObject({
  nonce: z.string().max(200),
  username,
  password,
  mac: z.string().max(200),
  admin: z.boolean().default(false),
  user_type: z.string().max(100).nullish(),
  displayname: z.string().max(MAX_DISPLAY_NAME).nullish(),
});
const GENERATED_LENGTH = 12;

/**
 * Mounted at `/_matrix/client/v3`.
 *
 * @see Matrix specification, client-server API, "Account registration and management"
 */
export function registerRouter(options: RegisterRouterOptions): Router {
  const { serverName, accounts, passwordLogin, uia, passwords, limitLogin } = options;
  const router = express.Router();
  const registrations = new Registrations();

  function requireOpen(): void {
    if (!passwords.registration) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'Registration is disabled on this server.');
    }
  }

  /**
   * The guest who upgrades to an account with the same user id. @throws MatrixError 403 for anybody else
   *
   * @throws MatrixError 403 for anybody else
   */
  async function requireGuest(body: z.output<typeof registerSchema>): Promise<string> {
    const { userId, guest } = await options.sessions.authenticate(body.guest_access_token ?? '');
    if (guest && body.username?.toLowerCase() === accounts.localpart(userId)) return userId;
    throw new MatrixError(403, 'M_FORBIDDEN', 'The access token does not belong to a guest with this user name.');
  }

  methods(router, '/register', {
    post: [
      limitLogin,
      async (request, response) => {
        response.set('Cache-Control', 'no-store');
        const kind = queryText(request, 'kind') ?? 'user';
        if (kind !== 'user' && kind !== 'guest')
          throw new MatrixError(400, 'M_UNRECOGNIZED', 'kind must be user or guest.');
        requireOpen();
        const body = parseBody(registerSchema, request.body);
        if (kind === 'guest') {
          const userId = await accounts.createGuest();
          // Guests cannot choose their device id, so that they can be told apart.
          response.json(await sessionAnswer(options, userId, { displayName: body.initial_device_display_name }));
          return;
        }
        const session = body.auth?.session;
        const begun = registrations.of(session);
        const wishes = { ...begun?.wishes, ...stated(body) };
        if (begun?.userId !== undefined) {
          if (!(await accounts.exists(begun.userId)))
            throw new MatrixError(403, 'M_FORBIDDEN', 'The account is deactivated.');
          response.json(await registeredAnswer(options, begun.userId, begun.wishes));
          return;
        }
        const guest = body.guest_access_token === undefined ? undefined : await requireGuest(body);
        const { username: wanted } = wishes;
        const localpart =
          wanted === undefined
            ? `u${randomBase32(GENERATED_LENGTH)}`
            : guest === undefined
              ? chosenLocalpart(wanted, serverName)
              : wanted.toLowerCase();
        if (guest === undefined) await accounts.requireFree(localpart);
        const hash = async (): Promise<string | undefined> =>
          body.password === undefined ? begun?.wishes.passwordHash : await passwordLogin.hash(body.password);
        try {
          await uia.register({ operation: 'POST /register', body, address: request.ip });
        } catch (error) {
          const opened = error instanceof MatrixError ? error.extra['session'] : undefined;
          if (typeof opened === 'string' && session === undefined) {
            registrations.begin(opened, { ...wishes, passwordHash: await hash() });
          }
          throw error;
        }
        const passwordHash = await hash();
        if (passwordHash === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'password is missing.');
        const userId = guest ?? (await accounts.register({ localpart, passwordHash }));
        if (guest !== undefined) await accounts.promote(guest, passwordHash);
        if (session !== undefined) registrations.end(session, wishes, userId);
        response.json(await registeredAnswer(options, userId, wishes));
      },
    ],
  });

  methods(router, '/register/available', {
    get: [
      limitLogin,
      async (request, response) => {
        requireOpen();
        const wanted = queryText(request, 'username');
        if (wanted === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'username is missing.');
        await accounts.requireFree(chosenLocalpart(wanted, serverName));
        response.json({ available: true });
      },
    ],
  });

  return router;
}

/** Mounted at the root of the client server if a secret is configured. */
export function sharedSecretRouter(options: RegisterRouterOptions & { readonly secret: string }): Router {
  const { serverName, accounts, passwordLogin, limitLogin } = options;
  const secret = new SharedSecret(options.secret);
  const router = express.Router();
  methods(router, '/_synapse/admin/v1/register', {
    get: (_request, response) => {
      response.json({ nonce: secret.nonce() });
    },
    post: [
      limitLogin,
      async (request, response) => {
        response.set('Cache-Control', 'no-store');
        const { user_type: userType, displayname, ...body } = parseBody(sharedSecretSchema, request.body);
        secret.check({ ...body, userType: userType ?? undefined });
        const userId = await accounts.register({
          localpart: chosenLocalpart(body.username, serverName),
          passwordHash: await passwordLogin.hash(body.password),
          admin: body.admin,
          displayName: checkedName(displayname ?? ''),
        });
        response.json(await sessionAnswer(options, userId, {}));
      },
    ],
  });
  return router;
}

/** The account fields of a request, without undefined ones. */
function stated(body: z.output<typeof registerSchema>): Wishes {
  return {
    ...(body.username === undefined ? {} : { username: body.username }),
    ...(body.device_id === undefined ? {} : { deviceId: body.device_id }),
    ...(body.initial_device_display_name === undefined ? {} : { displayName: body.initial_device_display_name }),
    ...(body.inhibit_login === undefined ? {} : { inhibitLogin: body.inhibit_login }),
    ...(body.refresh_token === undefined ? {} : { refreshable: body.refresh_token }),
  };
}

async function registeredAnswer(
  options: RegisterRouterOptions,
  userId: string,
  { inhibitLogin, deviceId, displayName, refreshable }: Wishes,
): Promise<Record<string, unknown>> {
  if (inhibitLogin === true) return { user_id: userId, home_server: options.serverName };
  return sessionAnswer(options, userId, { deviceId, displayName, refreshable });
}

async function sessionAnswer(
  { sessions, serverName }: RegisterRouterOptions,
  userId: string,
  session: NewSession,
): Promise<Record<string, unknown>> {
  const { deviceId, ...tokens } = await sessions.create(userId, session);
  return { user_id: userId, device_id: deviceId, home_server: serverName, ...tokensAnswer(tokens) };
}

/** The accounts part of a homeserver with a real database and a real identity provider. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { RequestHandler } from 'express';
import { Accounts } from '../../homeserver/accounts/accounts.ts';
import { Filters } from '../../homeserver/accounts/filters.ts';
import { LoginTokens } from '../../homeserver/accounts/login-tokens.ts';
import { IdentityProvider } from '../../homeserver/accounts/oidc.ts';
import { oauthProvider } from '../../homeserver/accounts/oauth/provider.ts';
import { OpenIdTokens } from '../../homeserver/accounts/openid-tokens.ts';
import { PasswordLogin } from '../../homeserver/accounts/password-login.ts';
import { Passwords } from '../../homeserver/accounts/passwords.ts';
import { Profiles } from '../../homeserver/accounts/profiles.ts';
import { requireSession } from '../../homeserver/accounts/require-session.ts';
import { Sessions } from '../../homeserver/accounts/sessions.ts';
import { ShortLived } from '../../homeserver/accounts/short-lived.ts';
import { Tenants } from '../../homeserver/accounts/tenants/tenants.ts';
import type { TenantsFile } from '../../homeserver/accounts/tenants/tenants-file.ts';
import { Uia } from '../../homeserver/accounts/uia.ts';
import { makeUpstream } from '../../homeserver/accounts/upstream/index.ts';
import { Seal } from '../../homeserver/accounts/seal.ts';
import type { Upstream } from '../../homeserver/accounts/upstream/upstream.ts';
import { clientApp } from '../../homeserver/app/client-app.ts';
import { ACCOUNT_PATH } from '../../homeserver/accounts/oauth/account-page-router.ts';
import { OAUTH_PATH } from '../../homeserver/accounts/oauth/router.ts';
import { CALLBACK_PATH } from '../../homeserver/accounts/sso-router.ts';
import type { PasswordConfig } from '../../homeserver/accounts/passwords.ts';
import { openDatabase } from '../../homeserver/database/database.ts';
import { migrate } from '../../homeserver/database/migrate.ts';
import type { Database } from '../../homeserver/database/database.ts';
import { MatrixError } from '../../homeserver/base/errors.ts';
import { accountRouter } from '../../homeserver/accounts/federation-router.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { rateLimits } from '../../homeserver/base/rate-limits.ts';
import { ListTrust } from '../../homeserver/engine/trust/trust.ts';
import { testDatabase } from '../support/database.ts';
import { Browser, CLIENT_ID, CLIENT_SECRET, startProvider } from './identity-provider.ts';
import type { Person, TestProvider } from './identity-provider.ts';

export const SERVER_NAME = 'hamburg.example';

/** A clock that the spec moves. */
export class Clock {
  #ahead = 0;
  readonly now = (): number => Date.now() + this.#ahead;
  advance(ms: number): void {
    this.#ahead += ms;
  }
}

export interface TestHome {
  readonly url: string;
  readonly db: Database;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly provider: TestProvider;
  readonly clock: Clock;
  /** Everything that was logged. */
  readonly logged: string[];
  readonly profiles: Profiles;
  readonly uia: Uia;
  /** How sessions follow the provider; it checks them when it is told to. */
  readonly upstream: Upstream;
  readonly openIdTokens: OpenIdTokens;
  /** Whose profile has changed, and where. */
  readonly profileChanges: string[];
  /** Who was taken out of all rooms. */
  readonly left: string[];
  request(method: string, path: string, options?: { token?: string; body?: unknown; raw?: string }): Promise<Answer>;
  /** Logs somebody in with a fresh browser for an app, and answers the login token that the app gets. */
  loginToken(person: Person): Promise<string>;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Record<string, unknown>;
}

export interface HomeOptions {
  readonly rateLimitFactor?: number;
  readonly passwords?: Partial<PasswordConfig>;
  /** Without them, the instance is of one organisation. */
  readonly tenants?: { readonly file: TenantsFile; readonly fallback?: string };
}

/** Sessions are checked again after this time, in ms. */
export const CHECK_MS = 60 * 60 * 1000;
/** Hashes that cost next to nothing. */
const COST = 4;
const NO_PASSWORDS: PasswordConfig = { login: false, registration: false, cost: COST, adminSecret: undefined };
/** Nobody in the accounts specs can sign for another server. */
const signed: RequestHandler = () => {
  throw new MatrixError(401, 'M_UNAUTHORIZED', 'The request is not signed.');
};

export async function startHome(options: HomeOptions = {}): Promise<TestHome> {
  const rateLimitFactor = options.rateLimitFactor ?? 1;
  const passwords = { ...NO_PASSWORDS, ...options.passwords };
  const database = await testDatabase();
  const db = await openDatabase(database.url);
  await migrate(db);
  const clock = new Clock();
  const accounts = new Accounts(db, SERVER_NAME);
  const sessions = new Sessions(db, accounts, clock.now);
  const logged: string[] = [];
  const log = createLog('trace', { write: (line) => void logged.push(line) });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const publicUrl = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const callbackUrl = publicUrl + CALLBACK_PATH;
  const provider = await startProvider(callbackUrl);
  const profiles = new Profiles(db, accounts);
  const profileChanges: string[] = [];
  profiles.onChange((userId, field) => void profileChanges.push(`${userId} ${field}`));
  const openIdTokens = new OpenIdTokens(db, accounts, clock.now);
  const left: string[] = [];
  const passwordLogin = new PasswordLogin({ accounts, passwords: new Passwords(COST), rateLimitFactor });
  const uia = new Uia({
    accounts,
    passwordLogin,
    passwords: passwords.login,
    sso: true,
    accountUrl: publicUrl + ACCOUNT_PATH,
    now: clock.now,
  });
  const seal = new Seal(randomBytes(32));
  const shortLived = new ShortLived({ db, seal, now: clock.now });
  const identityProvider = new IdentityProvider({
    issuer: provider.issuer,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    callbackUrl,
    shortLived,
    log,
    now: clock.now,
  });
  const instance = {
    organisation: { serverName: SERVER_NAME, displayName: 'Hansestadt Hamburg', colour: '#d00000' },
    legal: {},
  };
  const tenants = new Tenants({
    db,
    instance,
    file: options.tenants?.file,
    fallback: options.tenants?.fallback,
  });
  const { upstream, services } = makeUpstream({
    tenants,
    db,
    accounts,
    profiles,
    sessions,
    provider: identityProvider,
    seal,
    shortLived,
    checkMs: CHECK_MS,
    log,
    now: clock.now,
  });
  const oauth = await oauthProvider({
    db,
    accounts,
    sessions,
    upstream,
    issuer: publicUrl + OAUTH_PATH,
    cookieKey: seal.secretFor('cookies'),
    log,
    now: clock.now,
  });
  const app = clientApp({
    filters: new Filters(db, accounts),
    wellKnown: { server: undefined, supportEmail: undefined, supportPage: undefined },
    oauth: () => Promise.resolve(oauth),
    passwordLogin,
    passwords,
    uia,
    leaveRooms: (userId) => void left.push(userId),
    publicUrl,
    proxies: [],
    info: {
      ...instance,
      version: '1',
      login: { sso: true, password: false },
    },
    accounts,
    sessions,
    loginTokens: new LoginTokens(shortLived, publicUrl),
    shortLived,
    provider: identityProvider,
    upstream,
    services,
    tenants,
    visibility: tenants,
    requireSession: requireSession(sessions),
    limits: rateLimits(rateLimitFactor),
    databaseUp: () => Promise.resolve(true),
    sfuUp: () => false,
    trust: new ListTrust(SERVER_NAME, undefined),
    profiles,
    openIdTokens,
    remoteProfile: (userId) => Promise.resolve({ displayname: `Remote ${userId}` }),
    federation: express
      .Router()
      .use('/_matrix/federation', accountRouter({ serverName: SERVER_NAME, profiles, openIdTokens, signed })),
    log,
  });
  server.on('request', (request, response) => void app(request, response));

  const home: TestHome = {
    url: publicUrl,
    db,
    accounts,
    sessions,
    provider,
    clock,
    logged,
    profiles,
    uia,
    upstream,
    openIdTokens,
    profileChanges,
    left,
    async request(method, path, { token, body, raw } = {}) {
      const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
      const response = await fetch(publicUrl + path, {
        method,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...(text === undefined ? {} : { body: text }),
      });
      const json = (await response.json()) as Record<string, unknown>;
      return { status: response.status, headers: response.headers, json };
    },
    async loginToken(person) {
      provider.person = person;
      const { response } = await new Browser().follow(ssoUrl(home, APP_URL));
      return tokenIn(await response.text());
    },
    async close() {
      upstream.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await provider.close();
      await db.close();
      await database.close();
    },
  };
  return home;
}

/** Where an app wants its token. */
export const APP_URL = 'org.example.app:/done';

/** The login token in a page that leads to another client. */
export function tokenIn(page: string): string {
  const [, token = ''] = /loginToken=(hsl_[A-Za-z0-9_-]+)/.exec(page) ?? [];
  return token;
}

/** Where a client sends a browser to log in. */
export function ssoUrl(home: { url: string }, redirectUrl: string): string {
  return `${home.url}/_matrix/client/v3/login/sso/redirect?redirectUrl=${encodeURIComponent(redirectUrl)}`;
}

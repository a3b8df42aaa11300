/** A real OpenID provider that lets in whoever the spec names, and a browser that keeps cookies. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { Provider } from 'oidc-provider';

export const CLIENT_ID = 'hansetag';
const KEY_ID = 'spec';
export const CLIENT_SECRET = 'a secret of the spec and of nobody else';

export interface Person {
  sub: string;
  preferred_username?: string;
  name?: string;
  readonly [claim: string]: unknown;
}

/** What it says about somebody beside the name, when it knows it. */
const FURTHER = ['picture', 'locale', 'x_grp', 'phone_number', 'tenant_id', 'tariff_id', 'roles'];

export interface TestProvider {
  readonly issuer: string;
  /** Who logs in next; nobody: the log-in is refused. */
  person: Person | undefined;
  /** How long ago whoever logs in next has proven who they are, in s. */
  provenAgo: number;
  /** Says something else of somebody from now on. */
  tell(person: Person): void;
  /** Subjects that are disabled. */
  readonly disabled: Set<string>;
  /** Makes a logout token as the provider does; `claims` and `header` replace what is in it, undefined removes. */
  logoutToken(
    claims: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
    key?: KeyObject,
  ): Promise<string>;
  /** Signs claims as ID tokens are signed. */
  idToken(claims: Readonly<Record<string, unknown>>): Promise<string>;
  close(): Promise<void>;
}

/** @param port 0 for any that is free */
export async function startProvider(callbackUrl: string, port = 0): Promise<TestProvider> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const people = new Map<string, Person>();
  const disabled = new Set<string>();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const test: TestProvider = {
    issuer,
    person: undefined,
    provenAgo: 0,
    disabled,
    tell: (person) => void people.set(person.sub, person),
    logoutToken: (claims, header = {}, key = privateKey) => {
      const now = Math.floor(Date.now() / 1000);
      const usual = { iss: issuer, aud: CLIENT_ID, iat: now, exp: now + 120, jti: randomUUID() };
      const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
      return new SignJWT({ ...usual, events, ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: KEY_ID, typ: 'logout+jwt', ...header })
        .sign(key);
    },
    idToken: (claims) => new SignJWT({ ...claims }).setProtectedHeader({ alg: 'RS256', kid: KEY_ID }).sign(privateKey),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        redirect_uris: [callbackUrl],
        require_auth_time: true,
        grant_types: ['authorization_code', 'refresh_token'],
        backchannel_logout_uri: new URL('/elsewhere', issuer).href,
        backchannel_logout_session_required: true,
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' }] },
    issueRefreshToken: () => true,
    scopes: ['openid'],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username', ...FURTHER],
      email: ['email', 'email_verified'],
    },
    cookies: { keys: ['spec'] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_context, id) =>
      disabled.has(id) ? undefined : { accountId: id, claims: () => ({ ...people.get(id), sub: id }) },
    loadExistingGrant: async (context) => {
      const { session, client, provider: own } = context.oidc;
      if (!session?.accountId || !client) return undefined;
      const grant = new own.Grant({ accountId: session.accountId, clientId: client.clientId });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    if (request.url?.startsWith('/interaction/') === true) {
      const person = test.person;
      if (person) people.set(person.sub, person);
      const ts = Math.floor(Date.now() / 1000) - test.provenAgo;
      const result = person ? { login: { accountId: person.sub, ts } } : { error: 'access_denied' };
      provider.interactionFinished(request, response, result).catch(() => response.destroy());
    } else {
      answer(request, response).catch(() => response.destroy());
    }
  });
  return test;
}

export interface Visit {
  readonly url: URL;
  readonly response: Response;
}

/** A browser without a screen: it follows redirects one by one and keeps the cookies of each host. */
export class Browser {
  readonly #jar = new Map<string, Map<string, string>>();

  async get(url: string | URL): Promise<Visit> {
    return this.#ask(url);
  }

  /** Sends a form. */
  async post(url: string | URL, form: Record<string, string>): Promise<Visit> {
    return this.#ask(url, new URLSearchParams(form));
  }

  /** Sends JSON as a script of a page at the same origin does. */
  async send(url: string | URL, body: unknown): Promise<Visit> {
    return this.#ask(url, JSON.stringify(body), { origin: new URL(url).origin });
  }

  async #ask(
    url: string | URL,
    body?: URLSearchParams | string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Visit> {
    const at = new URL(url);
    const cookies = this.#jar.get(at.host) ?? new Map<string, string>();
    this.#jar.set(at.host, cookies);
    const response = await fetch(at, {
      redirect: 'manual',
      ...(body === undefined ? {} : { method: 'POST', body }),
      headers: { ...headers, cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return { url: at, response };
  }

  /** Follows redirects until there is none, or until the next address is one that the spec wants to see first. */
  async follow(url: string | URL, stopAt: (next: URL) => boolean = () => false): Promise<Visit & { next?: URL }> {
    for (let at = new URL(url); ;) {
      const visit = await this.get(at);
      const location = visit.response.headers.get('location');
      if (location === null) return visit;
      await visit.response.arrayBuffer();
      const next = new URL(location, at);
      if (stopAt(next)) return { ...visit, next };
      at = next;
    }
  }
}

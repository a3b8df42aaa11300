/**
 * The identity provider of the demonstration: OpenID Connect with the code flow and PKCE for one application, which is
 * of the same organisation, so that nobody is asked for consent. In earnest there is Keycloak in its place.
 *
 * @see OpenID Connect Core 1.0, section 3.1
 */
import { createHash, generateKeyPair, randomBytes, timingSafeEqual } from 'node:crypto';
import type { JsonWebKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { errors, Provider } from 'oidc-provider';
import { z } from 'zod';
import { writeWhole } from '../quickstart/drafts.mjs';
import { MemoryAdapter } from './adapter.ts';
import type { Person, ProviderConfig } from './config.ts';
import { chooseLanguage, endedPage, loginPage, STYLE } from './page.ts';

export interface RunningProvider {
  close(): Promise<void>;
}

const MAX_FORM_BYTES = 4096;
const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const INTERACTION_PATH = /^\/interaction\/[\w-]{1,100}$/;

const form = z.object({ login: z.string().max(100), password: z.string().max(100) });
const storedKey = z.looseObject({ kty: z.literal('EC'), d: z.string() });

/** Starts the provider: when the promise resolves, it listens at its issuer's address. */
export async function startIdentityProvider(config: ProviderConfig): Promise<RunningProvider> {
  const provider = await makeProvider(config);
  const answer = provider.callback();
  const server = createServer((request, response) => {
    if (INTERACTION_PATH.test(request.url ?? '')) {
      interact(provider, config, request, response).catch((error: unknown) => fail(request, response, error));
    } else {
      if (request.url?.startsWith('/auth') === true) forgetPerson(request);
      answer(request, response).catch((error: unknown) => fail(request, response, error));
    }
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(Number(config.issuer.port), config.issuer.hostname, listening);
  });
  return {
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/**
 * Every log-in asks who somebody is, whoever has logged in before: one browser shows several people in the
 * demonstration. Without its cookie, the provider does not know the session of the log-in before.
 */
function forgetPerson(request: IncomingMessage): void {
  const cookies = (request.headers.cookie ?? '').split('; ').filter((cookie) => !cookie.startsWith('_session'));
  request.headers.cookie = cookies.join('; ');
}

async function makeProvider(config: ProviderConfig): Promise<Provider> {
  return new Provider(config.issuer.origin, {
    adapter: MemoryAdapter,
    jwks: { keys: [await signingKey(config.keyFile)] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clients: [
      {
        client_id: config.clientId,
        client_secret: config.clientSecret,
        redirect_uris: [config.redirectUri],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    // It keeps nothing for long, and has no tokens for it.
    scopes: ['openid'],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
    },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    ttl: {
      Interaction: 10 * MINUTE_S,
      AuthorizationCode: MINUTE_S,
      AccessToken: 10 * MINUTE_S,
      IdToken: 10 * MINUTE_S,
      Session: HOUR_S,
      Grant: HOUR_S,
    },
    renderError: (context) => {
      context.type = 'html';
      context.body = endedPage(chooseLanguage(context.get('accept-language')));
    },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: (_context, id) => {
      const person = config.people.find(({ user }) => subject(user) === id);
      return person && { accountId: id, claims: () => claims(person) };
    },
    loadExistingGrant: async (context) => {
      const { session, client, provider } = context.oidc;
      if (session?.accountId === undefined || client === undefined) return undefined;
      const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
  });
}

/** The identifier that never changes, as opposed to what people are called. */
function subject(user: string): string {
  return `demo-${user}`;
}

function claims({ user, name }: Person) {
  return {
    sub: subject(user),
    name,
    preferred_username: user,
    email: `${user}@demo.example`,
    email_verified: true,
  };
}

/** Shows the log-in page, and takes its form. */
async function interact(
  provider: Provider,
  config: ProviderConfig,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { params } = await provider.interactionDetails(request, response);
  const wish = params['ui_locales'];
  const page = {
    language: chooseLanguage(typeof wish === 'string' ? wish : undefined, request.headers['accept-language']),
    organisation: config.organisation,
    people: config.people,
    password: config.password,
    action: request.url ?? '',
  };
  if (request.method !== 'POST') {
    send(response, config, 200, loginPage(page));
    return;
  }
  const typed = form.safeParse(Object.fromEntries(new URLSearchParams(await body(request))));
  const login = typed.data?.login.trim().toLowerCase();
  const person = config.people.find(({ user }) => user === login);
  if (person && typed.data && isSame(typed.data.password, config.password)) {
    allowRedirect(response, config);
    await provider.interactionFinished(request, response, {
      login: { accountId: subject(person.user), remember: false },
    });
  } else {
    send(response, config, 401, loginPage({ ...page, failed: true, login: typed.data?.login ?? '' }));
  }
}

function send(response: ServerResponse, config: ProviderConfig, status: number, html: string): void {
  allowRedirect(response, config);
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(html);
}

/** Browsers check `form-action` along the redirects after the form as well, the last of which is the homeserver's. */
function allowRedirect(response: ServerResponse, config: ProviderConfig): void {
  const style = createHash('sha256').update(STYLE).digest('base64');
  const formAction = `'self' ${new URL(config.redirectUri).origin}`;
  response.setHeader(
    'content-security-policy',
    `default-src 'none'; style-src 'sha256-${style}'; form-action ${formAction}; base-uri 'none'; frame-ancestors 'none'`,
  );
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
}

function fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const isKnown = error instanceof errors.OIDCProviderError;
  if (!isKnown) console.error(error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const html = endedPage(chooseLanguage(request.headers['accept-language']));
  response.writeHead(isKnown ? 400 : 500, { 'content-type': 'text/html; charset=utf-8' }).end(html);
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_FORM_BYTES) throw new errors.InvalidRequest('the form is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function isSame(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

/** The key of ID tokens. It is kept, because homeservers remember it. */
async function signingKey(file: string): Promise<JsonWebKey> {
  try {
    return storedKey.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
    const key = {
      ...privateKey.export({ format: 'jwk' }),
      use: 'sig',
      alg: 'ES256',
      kid: randomBytes(8).toString('hex'),
    };
    await writeWhole(file, JSON.stringify(key));
    return key;
  }
}

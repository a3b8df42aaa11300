/**
 * The OAuth 2.0 provider, loaded on demand: clients register themselves, users log in with a password or at the
 * organisation's identity provider, and every client gets one device.
 *
 * @see Matrix specification, client-server API, "OAuth 2.0 API"
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { errors, Provider } from 'oidc-provider';
import type { JWK, KoaContextWithOIDC } from 'oidc-provider';
import type { Logger } from 'pino';
import { z } from 'zod';
import { parseStrict } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { Accounts } from '../accounts.ts';
import { chooseLanguage } from '../pages.ts';
import type { Sessions } from '../sessions.ts';
import { oauthKeyModel } from '../tables.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { wrongAddress } from './client-metadata.ts';
import { codeConfirmPage, codePage, connectedPage, failedPage, INTERACTION_PATH } from './pages.ts';
import type { Page } from './pages.ts';
import { grantable } from './scopes.ts';
import { OauthStore } from './store.ts';

export interface OauthProviderOptions {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  /** Where there is an identity provider. */
  readonly upstream?: Pick<Upstream, 'takeHeld'> | undefined;
  /** By which its cookies are signed. */
  readonly cookieKey: string;
  /** Life of an access token, in ms. */
  readonly accessLifeMs?: number;
  /** Public URL of the provider, without trailing slash. */
  readonly issuer: string;
  readonly log: Logger;
  /** The clock, Unix ms. */
  readonly now?: () => number;
}

const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const YEAR_S = 365 * 24 * HOUR_S;

/** Client metadata by which anybody could make us fetch any URL. */
const FETCHED = ['sector_identifier_uri', 'jwks_uri', 'request_uris'] as const;

const storedKey = z.looseObject({ kty: z.literal('EC'), crv: z.literal('P-256'), d: z.string(), kid: z.string() });

export async function oauthProvider(options: OauthProviderOptions): Promise<Provider> {
  const { db, accounts, sessions, upstream, issuer, log, accessLifeMs = HOUR_S * 1000 } = options;
  const now = options.now ?? Date.now;
  const provider = new Provider(issuer, {
    adapter: (model: string) => new OauthStore(model, { db, accounts, sessions, upstream, now }),
    jwks: { keys: [await signingKey(db)] },
    // The same after a restart, as the data behind the cookies: log-ins in progress go on.
    cookies: { keys: [options.cookieKey] },
    scopes: ['openid'],
    discovery: { account_management_uri: `${issuer}/account` },
    claims: { openid: ['sub'] },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    clientAuthMethods: ['none'],
    clientDefaults: { token_endpoint_auth_method: 'none', id_token_signed_response_alg: 'ES256' },
    responseTypes: ['code'],
    // The provider fetches nothing itself. URLs in client registrations are refused below.
    fetch: () => Promise.reject(new Error('The OAuth 2.0 API sends no requests.')),
    extraClientMetadata: {
      properties: ['client_uri'],
      validator: (_context, _key, clientUri, metadata) => {
        for (const name of FETCHED) {
          if (metadata[name] === undefined) continue;
          throw new errors.InvalidClientMetadata(`${name} is not supported: this server fetches nothing for a client`);
        }
        const wrong = wrongAddress({
          clientUri,
          applicationType: metadata.application_type,
          redirectUris: metadata.redirect_uris,
        });
        if (wrong !== undefined) throw new errors.InvalidClientMetadata(wrong);
      },
    },
    pkce: { required: () => true },
    clientBasedCORS: () => true,
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      // Device scopes cannot be in a fixed list; only scopes of a resource can be dynamic. Ours is the API.
      resourceIndicators: {
        enabled: true,
        defaultResource: () => issuer,
        useGrantedResource: () => true,
        getResourceServerInfo: ({ oidc }, resource) => {
          if (resource !== issuer) throw new errors.InvalidTarget();
          const { RefreshToken: refresh, AuthorizationCode: code, DeviceCode: device } = oidc.entities;
          const scope = refresh?.scope ?? code?.scope ?? device?.scope ?? oidc.params?.['scope'];
          return { scope: grantable(typeof scope === 'string' ? scope : ''), accessTokenFormat: 'opaque' };
        },
      },
      registration: { enabled: true, initialAccessToken: false, issueRegistrationAccessToken: false },
      revocation: { enabled: true, allowedPolicy: (_context, client, token) => token.clientId === client.clientId },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (context, form, _out, error) =>
          show(context, codePage(chooseLanguage(context.request), form, error !== undefined)),
        userCodeConfirmSource: (context, form, client, _device, code) =>
          show(
            context,
            codeConfirmPage(chooseLanguage(context.request), form, code, client.clientName ?? client.clientId),
          ),
        successSource: (context) => show(context, connectedPage(chooseLanguage(context.request))),
      },
    },
    issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    rotateRefreshToken: true,
    ttl: {
      Interaction: 10 * MINUTE_S,
      AuthorizationCode: MINUTE_S,
      DeviceCode: 10 * MINUTE_S,
      AccessToken: Math.ceil(accessLifeMs / 1000),
      IdToken: HOUR_S,
      Session: HOUR_S,
      // A session ends by log-out, it does not expire.
      RefreshToken: YEAR_S,
      Grant: 20 * YEAR_S,
    },
    renderError: (context, _out, error) => {
      log.info({ err: error }, 'an authorization request failed');
      show(context, failedPage(chooseLanguage(context.request)));
    },
    interactions: { url: (_context, { uid }) => `${new URL(issuer).pathname}${INTERACTION_PATH}/${uid}` },
    findAccount: async (_context, id) => {
      const exists = await accounts.exists(id);
      return exists ? { accountId: id, claims: () => ({ sub: id }) } : undefined;
    },
    // A repeated authorization request gets a new device, so that consent is always asked for.
    loadExistingGrant: async ({ oidc }) => {
      const grantId = oidc.result?.consent?.grantId;
      return grantId === undefined ? undefined : oidc.provider.Grant.find(grantId);
    },
  });
  // The handler in front sets these headers itself.
  provider.proxy = true;
  provider.use(async (context: KoaContextWithOIDC, next) => {
    try {
      await next();
    } catch (error) {
      // A form that comes without the session of its page: oidc-provider 9.13 has refused it, and fails at saving that session.
      if (!(error instanceof TypeError) || context.oidc.session?.exp !== undefined) throw error;
      if (context.body === undefined) throw error;
    }
  });
  // A disconnected browser; without this, Koa writes to the console.
  const events: EventEmitter = provider;
  events.on('error', (error: unknown) => log.info({ err: error }, 'a response of the OAuth 2.0 API was not sent'));
  provider.on('server_error', (_context, error) => log.warn({ err: error }, 'the OAuth 2.0 API failed'));
  return provider;
}

function show(context: KoaContextWithOIDC, { html, policy }: Page): void {
  context.set('Content-Security-Policy', policy);
  context.set('Cache-Control', 'no-store');
  context.type = 'html';
  context.body = html;
}

/** The signing key of ID tokens; created at the first start. */
async function signingKey(db: Database): Promise<JWK> {
  const keys = oauthKeyModel(db);
  const row = await keys.findOne({ order: ['createdAt'] });
  if (row) return storedKey.parse(parseStrict(row.jwk));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = {
    ...privateKey.export({ format: 'jwk' }),
    kid: randomBytes(6).toString('hex'),
    alg: 'ES256',
    use: 'sig',
  };
  await keys.create({ createdAt: Date.now(), jwk: JSON.stringify(jwk) });
  return storedKey.parse(jwk);
}

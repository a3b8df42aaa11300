/** The OAuth 2.0 API: server metadata, and the steps that users see. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import type { Provider } from 'oidc-provider';
import { z } from 'zod';
import type { Accounts } from '../accounts.ts';
import { consentPage, failedPage, INTERACTION_PATH, passwordPage } from './pages.ts';
import type { Page } from './pages.ts';
import { deviceOf, grantable } from './scopes.ts';
import { chooseLanguage } from '../pages.ts';
import { MAX_PASSWORD } from '../passwords.ts';
import type { PasswordLogin } from '../password-login.ts';
import type { LoginTokenHolder } from '../login-tokens.ts';
import { newSecret } from '../secrets.ts';
import type { ShortLived, ShortLivedValues } from '../short-lived.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { namedUser } from '../user-identifier.ts';
import { methods } from '../../base/errors.ts';
import { allowAnyOrigin } from '../../base/http.ts';
import { lazy } from '../../base/lazy.ts';
import { ACCOUNT_ACTIONS, ACCOUNT_PATH } from './account-page-router.ts';
import { queryText } from '../../base/parse.ts';

/** Path below the public URL. */
export const OAUTH_PATH = '/oauth2';

/** From the identity provider to the next page, in ms. */
const STEP_LIFE_MS = 60_000;

/** Log-ins at the identity provider for authorization requests. */
export class OauthLogins {
  readonly #done: ShortLivedValues<{ interaction: string; holder: LoginTokenHolder }>;

  constructor(shortLived: ShortLived) {
    this.#done = shortLived.of('oauth-log-in', STEP_LIFE_MS);
  }

  /** Records who has logged in. @returns where the browser continues, below the public URL */
  async finish(interaction: string, holder: LoginTokenHolder): Promise<string> {
    const token = newSecret('');
    await this.#done.set(token, { interaction, holder });
    return `${OAUTH_PATH}${INTERACTION_PATH}/${interaction}?login=${token}`;
  }

  /** Who has logged in for an authorization request; valid once. */
  async take(interaction: string, token: string): Promise<LoginTokenHolder | undefined> {
    const done = await this.#done.take(token);
    return done?.interaction === interaction ? done.holder : undefined;
  }
}

export interface OauthRouterOptions {
  readonly publicUrl: string;
  /** Loads it first. */
  readonly provider: () => Promise<Provider>;
  readonly accounts: Accounts;
  readonly passwordLogin: PasswordLogin;
  /** Whether password log-in is on. */
  readonly passwords: boolean;
  /** Sends a browser to the organisation's identity provider, if any. */
  readonly logInAtOrganisation?: (request: Request, response: Response, interaction: string) => Promise<void>;
  readonly logins: OauthLogins;
  /** Where there is an identity provider. */
  readonly upstream?: Pick<Upstream, 'hold' | 'held'>;
  readonly limitLogin: RequestHandler;
}

const passwordForm = z.object({ user: z.string().max(300), password: z.string().max(MAX_PASSWORD) });
const decisionForm = z.object({ decision: z.enum(['allow', 'deny']) });

const TO_ORGANISATION = '?organisation=1';
const METADATA_PATH = '/_matrix/client/v1/auth_metadata';
const MSC2965_PATH = '/_matrix/client/unstable/org.matrix.msc2965/auth_metadata';
/** Endpoints below the provider's path that only clients call, not browsers. */
const ENDPOINTS = ['/reg', '/token', '/jwks', '/device/auth', '/.well-known'];

/**
 * The server metadata. @see Matrix specification, client-server API, "Server metadata discovery"
 *
 * @see Matrix specification, client-server API, "Server metadata discovery"
 */
export function authMetadata(publicUrl: string): Record<string, unknown> {
  const issuer = publicUrl + OAUTH_PATH;
  return {
    issuer,
    authorization_endpoint: `${issuer}/auth`,
    token_endpoint: `${issuer}/token`,
    registration_endpoint: `${issuer}/reg`,
    revocation_endpoint: `${issuer}/token/revocation`,
    device_authorization_endpoint: `${issuer}/device/auth`,
    jwks_uri: `${issuer}/jwks`,
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'fragment'],
    grant_types_supported: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    authorization_response_iss_parameter_supported: true,
    account_management_uri: publicUrl + ACCOUNT_PATH,
    account_management_actions_supported: ACCOUNT_ACTIONS,
  };
}

/** Mounted at the root of the client server, before bodies are read. */
export function oauthRouter(options: OauthRouterOptions): Router {
  const { publicUrl, provider, limitLogin } = options;
  const router = express.Router();

  // Pages must not be framed by other pages.
  const forClients = ENDPOINTS.map((path) => OAUTH_PATH + path);
  router.use([...forClients, METADATA_PATH, MSC2965_PATH], allowAnyOrigin);
  for (const path of [METADATA_PATH, MSC2965_PATH]) {
    methods(router, path, { get: (_request, response) => void response.json(authMetadata(publicUrl)) });
  }

  const interaction = `${OAUTH_PATH}${INTERACTION_PATH}/:uid`;
  methods(router, interaction, {
    get: [limitLogin, guarded(async (request, response) => showStep(options, request, response))],
    post: [
      limitLogin,
      express.urlencoded({ extended: false, limit: '8kb' }),
      guarded(async (request, response) => takeStep(options, request, response)),
    ],
  });

  const answer = lazy(async () => (await provider()).callback());
  const { host, protocol } = new URL(publicUrl);
  router.use(OAUTH_PATH, limitLogin, async (request, response) => {
    // The provider derives URLs from request headers; ours is the public one, whatever proxies set.
    request.headers.host = host;
    request.headers['x-forwarded-proto'] = protocol.slice(0, -1);
    delete request.headers['x-forwarded-host'];
    if (request.path === '/auth') forgetPerson(request);
    await (
      await answer()
    )(request, response);
  });
  return router;
}

/** Every authorization request requires a log-in: without its cookie, the provider does not know an earlier one. */
function forgetPerson(request: Request): void {
  const cookies = (request.headers.cookie ?? '').split('; ').filter((cookie) => !cookie.startsWith('_session'));
  request.headers.cookie = cookies.join('; ');
}

/** Shows a page when an authorization request is unknown, expired or of another browser. */
function guarded(handler: (request: Request, response: Response) => Promise<void>): RequestHandler {
  return async (request, response) => {
    try {
      await handler(request, response);
    } catch (error) {
      const { errors } = await import('oidc-provider');
      if (!(error instanceof errors.OIDCProviderError)) throw error;
      show(response, 400, failedPage(chooseLanguage(request)));
    }
  };
}

async function showStep(options: OauthRouterOptions, request: Request, response: Response): Promise<void> {
  const { passwords, logins, upstream, logInAtOrganisation } = options;
  const provider = await options.provider();
  const { uid, prompt, params, session } = await provider.interactionDetails(request, response);
  const language = chooseLanguage(request);
  const deviceId = deviceOf(textOf(params['scope']));
  if (deviceId === undefined) {
    await provider.interactionFinished(request, response, {
      error: 'invalid_scope',
      error_description: 'the scope must contain the API and exactly one device',
    });
    return;
  }
  if (prompt.name === 'login') {
    const holder = await logins.take(uid, queryText(request, 'login') ?? '');
    if (holder !== undefined) {
      const key = newSecret('');
      await upstream?.hold(key, holder.grant);
      await finishLogin(provider, request, response, { ...holder, upstream: key });
    } else if (logInAtOrganisation && (!passwords || queryText(request, 'organisation') === '1')) {
      await logInAtOrganisation(request, response, uid);
    } else show(response, 200, passwordPage(language, false, logInAtOrganisation && TO_ORGANISATION));
    return;
  }
  const client = await provider.Client.find(textOf(params['client_id']) ?? '');
  show(
    response,
    200,
    consentPage(language, {
      client: client?.clientName ?? client?.clientId ?? '',
      userId: session?.accountId ?? '',
      deviceId,
      redirectUri: textOf(params['redirect_uri']),
    }),
  );
}

async function takeStep(options: OauthRouterOptions, request: Request, response: Response): Promise<void> {
  const { accounts, passwords, passwordLogin, upstream, logInAtOrganisation } = options;
  const provider = await options.provider();
  const { prompt, params, session, lastSubmission } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const typed = passwords ? passwordForm.safeParse(request.body) : undefined;
    const userId = typed?.data && namedUser({ user: typed.data.user.trim() }, accounts);
    const account =
      typed?.data && userId !== undefined
        ? await passwordLogin.check(userId, typed.data.password, request.ip)
        : undefined;
    if (account === undefined || account.deactivated) {
      show(response, 403, passwordPage(chooseLanguage(request), true, logInAtOrganisation && TO_ORGANISATION));
      return;
    }
    await finishLogin(provider, request, response, account);
    return;
  }
  const decision = decisionForm.safeParse(request.body).data?.decision;
  const accountId = session?.accountId;
  const clientId = textOf(params['client_id']);
  if (decision !== 'allow' || accountId === undefined || clientId === undefined) {
    await provider.interactionFinished(request, response, {
      error: 'access_denied',
      error_description: 'the user has denied access',
    });
    return;
  }
  const key = textOf(lastSubmission?.login?.['upstream']);
  const held = key === undefined ? undefined : await upstream?.held(key);
  // A device that came by the identity provider, and is tied to no session there, would outlive every log-out there.
  if (upstream && key !== undefined && held === undefined) {
    await provider.interactionFinished(request, response, {
      error: 'access_denied',
      error_description: 'the log-in is not known any more',
    });
    return;
  }
  const grant = new provider.Grant({ accountId, clientId });
  const scope = grantable(textOf(params['scope']));
  if (scope.split(' ').includes('openid')) grant.addOIDCScope('openid');
  grant.addResourceScope(provider.issuer, scope);
  const grantId = await grant.save();
  // What the log-in has brought belongs to the device that this grant gets.
  await upstream?.hold(grantId, held?.grant);
  await provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

async function finishLogin(
  provider: Provider,
  request: Request,
  response: Response,
  { userId, upstream }: { readonly userId: string; readonly upstream?: string },
): Promise<void> {
  await provider.interactionFinished(request, response, { login: { accountId: userId, remember: false, upstream } });
}

function show(response: Response, status: number, { html, policy }: Page): void {
  response
    .status(status)
    .set({ 'Cache-Control': 'no-store', 'Content-Security-Policy': policy })
    .type('html')
    .send(html);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

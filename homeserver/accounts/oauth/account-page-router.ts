/**
 * The account management page, to which clients send users.
 *
 * @see Matrix specification, client-server API, "Account management"
 */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import type { Accounts } from '../accounts.ts';
import { cookie } from '../../base/cookies.ts';
import { ExpiringMap } from '../../base/expiring-map.ts';
import { accountPage } from './account-page.ts';
import type { AccountView } from './account-page.ts';
import { passwordPage } from './pages.ts';
import type { Page } from './pages.ts';
import { chooseLanguage } from '../pages.ts';
import { MAX_PASSWORD } from '../passwords.ts';
import type { PasswordLogin } from '../password-login.ts';
import { newSecret } from '../secrets.ts';
import type { Sessions } from '../sessions.ts';
import type { Uia } from '../uia.ts';
import { namedUser } from '../user-identifier.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { queryText } from '../../base/parse.ts';

/** Path below the public URL. */
export const ACCOUNT_PATH = '/oauth2/account';
/** The actions that a client may request. */
export const ACCOUNT_ACTIONS = [
  'org.matrix.devices_list',
  'org.matrix.device_view',
  'org.matrix.device_delete',
  'org.matrix.cross_signing_reset',
] as const;

export interface AccountPageOptions {
  readonly publicUrl: string;
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly uia: Uia;
  readonly passwordLogin: PasswordLogin;
  /** Whether password log-in is on. */
  readonly passwords: boolean;
  /** Sends a browser to the organisation's identity provider, if any. */
  readonly logInAtOrganisation?: (request: Request, response: Response, query: string) => Promise<void>;
  readonly visits: AccountVisits;
  readonly limitLogin: RequestHandler;
}

interface Visit {
  readonly userId: string;
  readonly token: string;
}

const VISIT_LIFE_MS = 15 * 60 * 1000;
const VISIT_COOKIE = 'hansetag_account';
const MAX_QUERY = 1000;
const passwordForm = z.object({ user: z.string().max(300), password: z.string().max(MAX_PASSWORD) });
const actionForm = z.object({
  do: z.enum(['end', 'reset', 'leave']),
  device: z.string().max(255).optional(),
  token: z.string().max(100),
});

/** Sessions of the page, valid for 15 minutes. */
export class AccountVisits {
  readonly #visits = new ExpiringMap<Visit>({ lifeMs: VISIT_LIFE_MS, maxSize: 10_000 });
  readonly #publicUrl: string;

  constructor(publicUrl: string) {
    this.#publicUrl = publicUrl;
  }

  /** Starts a session. @param query the query of the page @param query what the page was asked for */
  enter(response: Response, userId: string, query: string): void {
    const secret = newSecret('');
    this.#visits.set(secret, { userId, token: newSecret('') });
    this.#setCookie(response, secret, VISIT_LIFE_MS);
    response.redirect(303, `${this.#publicUrl}${ACCOUNT_PATH}${query}`);
  }

  of(request: Request): Visit | undefined {
    return this.#visits.get(cookie(request, VISIT_COOKIE) ?? '');
  }

  leave(request: Request, response: Response): void {
    this.#visits.take(cookie(request, VISIT_COOKIE) ?? '');
    this.#setCookie(response, '', 0);
    response.redirect(303, `${this.#publicUrl}/`);
  }

  #setCookie(response: Response, secret: string, lifeMs: number): void {
    const secure = this.#publicUrl.startsWith('https:');
    response.cookie(VISIT_COOKIE, secret, {
      httpOnly: true,
      sameSite: 'lax',
      secure,
      path: ACCOUNT_PATH,
      maxAge: lifeMs,
    });
  }
}

/** Mounted at the root of the client server, before bodies are read. */
export function accountPageRouter(options: AccountPageOptions): Router {
  const { limitLogin, visits } = options;
  const router = express.Router();
  methods(router, ACCOUNT_PATH, {
    get: [limitLogin, async (request, response) => showAccount(options, request, response)],
    post: [
      limitLogin,
      express.urlencoded({ extended: false, limit: '8kb' }),
      async (request, response) => {
        const visit = visits.of(request);
        await (visit ? act(options, visit, request, response) : logIn(options, request, response));
      },
    ],
  });
  return router;
}

async function showAccount(options: AccountPageOptions, request: Request, response: Response): Promise<void> {
  const { sessions, accounts, visits, passwords, logInAtOrganisation } = options;
  const language = chooseLanguage(request);
  const visit = visits.of(request);
  if (visit === undefined || !(await accounts.exists(visit.userId))) {
    if (logInAtOrganisation && (!passwords || queryText(request, 'organisation') === '1')) {
      await logInAtOrganisation(request, response, queryOf(request));
    } else show(response, 200, passwordPage(language, false, logInAtOrganisation && toOrganisation(request)));
    return;
  }
  const asked = queryText(request, 'action');
  let reset: AccountView['reset'];
  if (asked === 'org.matrix.cross_signing_reset') {
    reset = options.uia.mayReplaceKeys(visit.userId) ? 'allowed' : 'asked';
  }
  const devices = await sessions.devices(visit.userId);
  const one = queryText(request, 'device_id');
  const chosen = one === undefined ? devices : devices.filter(({ deviceId }) => deviceId === one);
  show(response, 200, accountPage(language, { ...visit, devices: chosen, reset }));
}

async function logIn(options: AccountPageOptions, request: Request, response: Response): Promise<void> {
  const { accounts, passwords, passwordLogin, visits, logInAtOrganisation } = options;
  const typed = passwords ? passwordForm.safeParse(request.body).data : undefined;
  const userId = typed && namedUser({ user: typed.user.trim() }, accounts);
  const account =
    typed && userId !== undefined ? await passwordLogin.check(userId, typed.password, request.ip) : undefined;
  if (account === undefined || account.deactivated) {
    show(response, 403, passwordPage(chooseLanguage(request), true, logInAtOrganisation && toOrganisation(request)));
    return;
  }
  visits.enter(response, account.userId, queryOf(request));
}

async function act(options: AccountPageOptions, visit: Visit, request: Request, response: Response): Promise<void> {
  const { sessions, uia, visits, publicUrl } = options;
  const form = actionForm.safeParse(request.body).data;
  // The cookie is also sent with forms of other pages; the token is not.
  if (form?.token !== visit.token) throw new MatrixError(403, 'M_FORBIDDEN', 'The form is outdated. Reload the page.');
  if (form.do === 'leave') {
    visits.leave(request, response);
    return;
  }
  if (form.do === 'reset') uia.allowKeyReplacement(visit.userId);
  else if (form.device !== undefined) await sessions.end(visit.userId, form.device);
  response.redirect(303, `${publicUrl}${ACCOUNT_PATH}${form.do === 'reset' ? queryOf(request) : ''}`);
}

/** The original query, without the chosen way to log in. */
function queryOf(request: Request): string {
  const query = new URL(request.originalUrl.slice(0, MAX_QUERY), 'http://localhost').searchParams;
  query.delete('organisation');
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

function toOrganisation(request: Request): string {
  const query = queryOf(request);
  return `${query === '' ? '?' : `${query}&`}organisation=1`;
}

function show(response: Response, status: number, { html, policy }: Page): void {
  response
    .status(status)
    .set({ 'Cache-Control': 'no-store', 'Content-Security-Policy': policy })
    .type('html')
    .send(html);
}

/** Two organisations whose people log in at one real Keycloak, shared by all specs in this folder. */
import { join } from 'node:path';
import { findLanAddress } from '../../deploy/quickstart/layout.ts';
import { Browser } from '../accounts/identity-provider.ts';
import type { Visit } from '../accounts/identity-provider.ts';
import { at, eventually, freePorts } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, startMeetingServers } from '../support/meetings.ts';
import { ISSUED, PASSWORD, REALMS, Realms } from './realms.ts';
import type { Realm } from './realms.ts';

export interface House {
  readonly realms: Realms;
  readonly luebeck: TestHomeserver;
  readonly hamburg: TestHomeserver;
}

/** Somebody who is logged in with a browser. */
export interface LoggedIn extends TestUser {
  readonly deviceId: string;
  readonly refreshToken: string;
}

/** So short that a spec can wait for it, in seconds. */
export const ACCESS_TOKEN_S = 15;
/** A first start makes the tables and the realms. */
export const START_PATIENCE_MS = 300_000;

const CLIENT_DIR = join(import.meta.dirname, '../../dist/client/browser');

let started: Promise<House & { federation: TestFederation }> | undefined;

/** Starts all at the first call; it ends after the last spec. */
export function house(): Promise<House> {
  return (started ??= start());
}

async function start(): Promise<House & { federation: TestFederation }> {
  const [port = 0, databasePort = 0] = await freePorts(2);
  // Firefox reaches media by no loopback address.
  const lan = process.env['HANSETAG_SPEC_NETWORK'] === 'own' ? findLanAddress() : undefined;
  const federation = await startMeetingServers(
    2,
    (index) => ({
      HANSETAG_OIDC_ISSUER: Realms.issuer(port, REALMS[index] ?? 'luebeck'),
      HANSETAG_OIDC_CLIENT_ID: ISSUED.clientId,
      HANSETAG_OIDC_CLIENT_SECRET: ISSUED.clientSecret,
      HANSETAG_ACCESS_TOKEN_SECONDS: String(ACCESS_TOKEN_S),
      HANSETAG_CLIENT_DIR: CLIENT_DIR,
    }),
    lan === undefined ? [] : [lan],
  );
  const [luebeck, hamburg] = federation.servers;
  if (!luebeck || !hamburg) throw new Error('A server is missing.');
  const realms = await Realms.start([port, databasePort], { luebeck: luebeck.url, hamburg: hamburg.url });
  return { federation, realms, luebeck, hamburg };
}

afterAll(async () => {
  if (!started) return;
  const { federation, realms } = await started;
  const { pid } = realms;
  await realms.close();
  await federation.close();
  expect(await realms.isGone(pid))
    .withContext('Keycloak has ended')
    .toBeTrue();
});

const hasToken = (url: URL): boolean => url.searchParams.has('loginToken');

/** Goes to the log-in; ends at Keycloak's page, or back at the client for who is logged in there already. */
export function begin(server: TestHomeserver, browser: Browser): Promise<Visit & { next?: URL }> {
  const target = encodeURIComponent(`${server.url}/login`);
  return browser.follow(`${server.url}/_matrix/client/v3/login/sso/redirect?redirectUrl=${target}`, hasToken);
}

/** Sends the form of Keycloak's log-in page, and follows to the client if it lets in. */
export async function submit(
  browser: Browser,
  { response }: Visit,
  user: string,
  password = PASSWORD,
): Promise<Visit & { next?: URL }> {
  const page = await response.text();
  const [, action] = /<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"/.exec(page) ?? [];
  if (action === undefined) throw new Error(`This is not the log-in page: ${page.slice(0, 500)}`);
  const sent = await browser.post(action.replaceAll('&amp;', '&'), { username: user, password });
  const location = sent.response.headers.get('location');
  return location === null ? sent : browser.follow(location, hasToken);
}

/** Logs somebody in by the form. */
export async function logIn(server: TestHomeserver, user: string, browser = new Browser()): Promise<LoggedIn> {
  return redeem(server, (await submit(browser, await begin(server, browser), user)).next, browser);
}

/** Makes a session of what the client got, in the browser in which it got it. */
export async function redeem(server: TestHomeserver, next: URL | undefined, browser: Browser): Promise<LoggedIn> {
  const token = next?.searchParams.get('loginToken');
  const body = { type: 'm.login.token', token, refresh_token: true };
  const { response } = await browser.send(`${server.url}/_matrix/client/v3/login`, body);
  const answer: unknown = await response.json();
  if (response.status !== 200) throw new Error(`The log-in failed: ${JSON.stringify(answer)}`);
  const text = (name: string): string => String(at(answer, name));
  return userOf(server, text('user_id'), text('access_token'), text('device_id'), text('refresh_token'));
}

/** The next pair of tokens. */
export function refresh(server: TestHomeserver, { refreshToken }: LoggedIn): Promise<Answer> {
  return server.ask('POST', 'client/v3/refresh', { refresh_token: refreshToken });
}

/** What the homeserver says of its own health. */
export async function health(server: TestHomeserver): Promise<unknown> {
  return (await fetch(`${server.url}/_hansetag/health`)).json();
}

export function whoami(server: TestHomeserver, { token }: Pick<TestUser, 'token'>): Promise<Answer> {
  return server.ask('GET', 'client/v3/account/whoami', undefined, token);
}

/** A meeting of two organisations that both are in. @returns its room */
export async function meetingOf(
  host: { server: TestHomeserver; user: TestUser },
  guest: { server: TestHomeserver; user: TestUser },
): Promise<string> {
  const made = await hansetag(host.server, host.user.token, 'POST', 'meetings', {
    title: 'Deich',
    invite: [guest.user.userId],
  });
  const roomId = String(at(made.body, 'roomId'));
  const answer = `meetings/${encodeURIComponent(roomId)}/answer`;
  await eventually(
    () => hansetag(guest.server, guest.user.token, 'POST', answer, { answer: 'accept' }),
    ({ status }) => status === 200,
    30_000,
  );
  return roomId;
}

function userOf(
  server: TestHomeserver,
  userId: string,
  token: string,
  deviceId: string,
  refreshToken: string,
): LoggedIn {
  const ask = (method: string, path: string, body?: unknown): Promise<Answer> => server.ask(method, path, body, token);
  return {
    userId,
    token,
    deviceId,
    refreshToken,
    ask,
    must: async (method, path, body) => {
      const answer = await ask(method, path, body);
      if (answer.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
      return answer.body;
    },
  };
}

export type { Realm };

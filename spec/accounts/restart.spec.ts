/** A homeserver that is started anew, as by every update, interrupts no log-in and forgets no log-out. */
import { createHash, randomBytes } from 'node:crypto';
import { CALLBACK_PATH } from '../../homeserver/accounts/sso-router.ts';
import { at, freePorts, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Browser, CLIENT_ID, CLIENT_SECRET, startProvider } from './identity-provider.ts';
import type { TestProvider } from './identity-provider.ts';
import { APP_URL, ssoUrl, tokenIn } from './support.ts';

const LOGIN = '/_matrix/client/v3/login';
const REDIRECT = 'https://client.example/callback';
const API = 'urn:matrix:client:api:*';
let people = 0;

describe('Login: over a restart of the homeserver', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let provider: TestProvider;
  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    federation = await startHomeservers(1, {
      HANSETAG_OIDC_ISSUER: `http://127.0.0.1:${String(port)}`,
      HANSETAG_OIDC_CLIENT_ID: CLIENT_ID,
      HANSETAG_OIDC_CLIENT_SECRET: CLIENT_SECRET,
    });
    const [only] = federation.servers;
    if (!only) throw new Error('A server is missing.');
    server = only;
    provider = await startProvider(server.url + CALLBACK_PATH, port);
  }, 60_000);
  afterAll(async () => {
    await federation.close();
    await provider.close();
  });
  beforeEach(() => {
    const name = `person${String(people++)}`;
    provider.person = { sub: name, preferred_username: name, name: 'Anna' };
  });

  async function restart(): Promise<void> {
    await server.stop();
    await server.start();
  }
  const subject = (): string => provider.person?.sub ?? '';
  async function logOutThere(token: string): Promise<number> {
    const body = new URLSearchParams({ logout_token: token });
    const address = `${server.url}/_hansetag/client/v1/login/backchannel-logout`;
    return (await fetch(address, { method: 'POST', body })).status;
  }

  it('goes on with what was begun before, and takes the login token that was made before', async () => {
    const browser = new Browser();
    const atProvider = ({ origin }: URL): boolean => origin === provider.issuer;
    const { next } = await browser.follow(ssoUrl(server, `${server.url}/de/login`), atProvider);
    await restart();
    const back = await browser.follow(next ?? '', (url) => url.searchParams.has('loginToken'));
    await restart();
    const token = back.next?.searchParams.get('loginToken');
    const { response } = await browser.send(server.url + LOGIN, { type: 'm.login.token', token });
    expect(response.status).toBe(200);
  });

  it('ties the device of an OAuth client to the session that the person has consented in before', async () => {
    const verifier = randomBytes(32).toString('base64url');
    const registered = await fetch(`${server.url}/oauth2/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Client',
        client_uri: 'https://client.example/',
        redirect_uris: [REDIRECT],
        token_endpoint_auth_method: 'none',
      }),
    });
    const clientId = String(at(await registered.json(), 'client_id'));
    const url = new URL(`${server.url}/oauth2/auth`);
    url.search = new URLSearchParams({
      client_id: clientId,
      response_type: 'code',
      redirect_uri: REDIRECT,
      scope: `${API} urn:matrix:client:device:RESTARTED1`,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }).toString();
    const browser = new Browser();
    const { url: form } = await browser.follow(url);
    const { url: page } = await browser.follow(new URL('?organisation=1', form));
    await restart();
    const allowed = await browser.post(page, { decision: 'allow' });
    const resumed = new URL(allowed.response.headers.get('location') ?? '', page);
    const { next } = await browser.follow(resumed, ({ href }) => href.startsWith(REDIRECT));
    await restart();
    const exchanged = await fetch(`${server.url}/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams({
        client_id: clientId,
        grant_type: 'authorization_code',
        code: next?.searchParams.get('code') ?? '',
        redirect_uri: REDIRECT,
        code_verifier: verifier,
      }),
    });
    const token = String(at(await exchanged.json(), 'access_token'));
    const whoami = async (): Promise<number> =>
      (await server.ask('GET', 'client/v3/account/whoami', undefined, token)).status;
    expect(await whoami()).toBe(200);
    expect(await logOutThere(await provider.logoutToken({ sub: subject() }))).toBe(200);
    expect(await whoami()).toBe(401);
  });

  it('lets nobody in who was logged out at the provider before, and takes no logout token a second time', async () => {
    const { response } = await new Browser().follow(ssoUrl(server, APP_URL));
    const token = tokenIn(await response.text());
    const logout = await provider.logoutToken({ sub: subject() });
    expect(await logOutThere(logout)).toBe(200);
    await restart();
    expect(await logOutThere(logout)).toBe(400);
    const answer = await server.ask('POST', 'client/v3/login', { type: 'm.login.token', token });
    expect(answer.status).toBe(403);
  });
});

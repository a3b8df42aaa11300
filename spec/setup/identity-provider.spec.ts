import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as oidc from 'openid-client';
import { loadProviderConfig } from '../../deploy/identity-provider/config.ts';
import { chooseLanguage } from '../../deploy/identity-provider/page.ts';
import { startIdentityProvider } from '../../deploy/identity-provider/server.ts';
import type { RunningProvider } from '../../deploy/identity-provider/server.ts';
import { freePort } from '../support/ports.ts';

const REDIRECT = 'http://luebeck.localhost:8440/_hansetag/client/v1/login/callback';
const SECRET = 'the secret of this spec and no other';

interface Page {
  readonly status: number;
  readonly text: string;
  readonly location: URL | undefined;
  readonly headers: Headers;
}

describe("The demo's identity provider", () => {
  let folder: string;
  let issuer: string;
  let provider: RunningProvider;
  let cookies: Map<string, string>;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-idp-'));
    issuer = `http://127.0.0.1:${String(await freePort())}`;
    cookies = new Map();
    provider = await startIdentityProvider(loadProviderConfig(environment()));
  });

  afterEach(async () => {
    await provider.close();
    await rm(folder, { recursive: true, force: true });
  });

  function environment(): Record<string, string> {
    return {
      HANSETAG_IDP_ISSUER: issuer,
      HANSETAG_IDP_ORGANISATION: 'Lübeck <Rathaus>',
      HANSETAG_IDP_REDIRECT_URI: REDIRECT,
      HANSETAG_IDP_CLIENT_SECRET: SECRET,
      HANSETAG_IDP_PEOPLE: 'bert=Bert Brandt,clara=Clara Carstens',
      HANSETAG_IDP_KEY_FILE: join(folder, 'key.json'),
    };
  }

  async function visit(url: URL, fields?: Record<string, string>, language = 'en'): Promise<Page> {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; '), 'accept-language': language },
      ...(fields && { method: 'POST', body: new URLSearchParams(fields) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get('location');
    return {
      status: response.status,
      text: await response.text(),
      location: location === null ? undefined : new URL(location, url),
      headers: response.headers,
    };
  }

  function discover(secret = SECRET): Promise<oidc.Configuration> {
    return oidc.discovery(new URL(issuer), 'hansetag', secret, undefined, { execute: [oidc.allowInsecureRequests] });
  }

  async function begin(configuration: oidc.Configuration, more: Record<string, string> = {}) {
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const nonce = oidc.randomNonce();
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: REDIRECT,
      scope: 'openid profile email',
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...more,
    });
    return { url, verifier, state, nonce };
  }

  /** The address of the log-in page of a new log-in. */
  async function openLogin(url: URL): Promise<URL> {
    const { location } = await visit(url);
    if (location === undefined) throw new Error('no log-in page');
    return location;
  }

  /** Types name and password, and follows the redirects back to the application. */
  async function logIn(page: URL, login: string, password = 'demo'): Promise<URL> {
    let { location } = await visit(page, { login, password });
    while (location?.origin === issuer) ({ location } = await visit(location));
    if (location === undefined) throw new Error('the way back is missing');
    return location;
  }

  it('lets a person in by code and PKCE, and says who it is', async () => {
    const configuration = await discover();
    const { url, verifier, state, nonce } = await begin(configuration);
    const back = await logIn(await openLogin(url), 'bert');
    expect(back.href.startsWith(`${REDIRECT}?`)).toBeTrue();
    const tokens = await oidc.authorizationCodeGrant(configuration, back, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
      idTokenExpected: true,
    });
    expect(tokens.claims()?.sub).toBe('demo-bert');
    const about: object = await oidc.fetchUserInfo(configuration, tokens.access_token, 'demo-bert');
    expect(about).toEqual({
      sub: 'demo-bert',
      name: 'Bert Brandt',
      preferred_username: 'bert',
      email: 'bert@demo.example',
      email_verified: true,
    });
  });

  it('asks for the person at every log-in, so that one browser can be several people', async () => {
    const configuration = await discover();
    await logIn(await openLogin((await begin(configuration)).url), 'bert');
    const { url, verifier, state, nonce } = await begin(configuration);
    const page = await openLogin(url);
    expect((await visit(page)).text).toContain('name="password"');
    const tokens = await oidc.authorizationCodeGrant(configuration, await logIn(page, 'clara'), {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: nonce,
    });
    expect(tokens.claims()?.sub).toBe('demo-clara');
  });

  it('stays with a wrong password or name, says so, and lets in afterwards', async () => {
    const { url, state } = await begin(await discover());
    const page = await openLogin(url);
    for (const [login, password] of [
      ['bert', 'Demo'],
      ['anna', 'demo'],
    ]) {
      const answer = await visit(page, { login: login ?? '', password: password ?? '' });
      expect(answer.status).toBe(401);
      expect(answer.text).toContain('User name or password is wrong.');
      expect(answer.text).toContain(`value="${login ?? ''}"`);
    }
    expect((await logIn(page, 'Bert ')).searchParams.get('state')).toBe(state);
  });

  it('gives no tokens without the PKCE verifier, without the secret, or twice for one code', async () => {
    const configuration = await discover();
    const first = await begin(configuration);
    const back = await logIn(await openLogin(first.url), 'bert');
    const checks = { expectedState: first.state, expectedNonce: first.nonce };
    const wrongVerifier = { ...checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() };
    await expectAsync(oidc.authorizationCodeGrant(configuration, back, wrongVerifier)).toBeRejected();

    const second = await begin(configuration);
    const secondBack = await logIn(await openLogin(second.url), 'bert');
    const right = { expectedState: second.state, expectedNonce: second.nonce, pkceCodeVerifier: second.verifier };
    const stranger = await discover('a guess at the secret of this spec');
    await expectAsync(oidc.authorizationCodeGrant(stranger, secondBack, right)).toBeRejected();
    await oidc.authorizationCodeGrant(configuration, secondBack, right);
    await expectAsync(oidc.authorizationCodeGrant(configuration, secondBack, right)).toBeRejected();
  });

  it('refuses a log-in without PKCE and one that leads elsewhere', async () => {
    const configuration = await discover();
    const { url } = await begin(configuration);
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    expect((await visit(url)).location?.searchParams.get('error')).toBe('invalid_request');
    const elsewhere = await begin(configuration, { redirect_uri: 'http://elsewhere.example/callback' });
    const answer = await visit(elsewhere.url);
    expect(answer.status).toBe(400);
    expect(answer.location).toBeUndefined();
  });

  it('speaks German and English and escapes what it shows', async () => {
    const page = await openLogin((await begin(await discover())).url);
    const german = await visit(page, undefined, 'fr-FR, de-DE;q=0.8');
    expect(german.text).toContain('<html lang="de">');
    expect(german.text).toContain('Benutzername');
    expect(german.text).toContain('Lübeck &#60;Rathaus&#62;');
    const failed = await visit(page, { login: '"><script>', password: 'x' });
    expect(failed.text).not.toContain('<script>');
    expect(chooseLanguage('en', 'de')).toBe('en');
    expect(chooseLanguage(undefined, 'fr')).toBe('en');
  });

  it('lets the form lead to the homeserver and to nowhere else', async () => {
    const page = await openLogin((await begin(await discover())).url);
    const policy = (await visit(page)).headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("form-action 'self' http://luebeck.localhost:8440;");
  });

  it('does not let another browser go on with a log-in', async () => {
    const page = await openLogin((await begin(await discover())).url);
    cookies.clear();
    expect((await visit(page, { login: 'bert', password: 'demo' })).status).toBe(400);
  });

  it('keeps its key over a restart, in a file for nobody else', async () => {
    const file = join(folder, 'key.json');
    const before = await readFile(file, 'utf8');
    await provider.close();
    provider = await startIdentityProvider(loadProviderConfig(environment()));
    expect(await readFile(file, 'utf8')).toBe(before);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('does not start at an address that others can reach', () => {
    const open = { ...environment(), HANSETAG_IDP_ISSUER: 'http://192.0.2.7:8445' };
    expect(() => loadProviderConfig(open)).toThrowMatching((error: Error) =>
      error.message.includes('HANSETAG_IDP_ISSUER'),
    );
  });
});

import { generateKeyPairSync } from 'node:crypto';
import { CLIENT_ID } from './identity-provider.ts';
import { CHECK_MS, startHome } from './support.ts';
import type { Answer, TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const LOGIN = 'org.hansetag.login.service';
/** As the provider says it in an access token for client credentials. */
const RECORDER = { events: undefined, sub: 'recorder', client_id: 'recorder', roles: ['hansetag-service'] };

describe('Login: of services by client credentials', () => {
  let home: TestHome;
  beforeEach(async () => {
    home = await startHome({ rateLimitFactor: 0 });
  });
  afterEach(() => home.close());

  const token = (claims: Readonly<Record<string, unknown>> = {}, header = { typ: 'at+jwt' }): Promise<string> =>
    home.provider.logoutToken({ ...RECORDER, ...claims }, header);
  const logIn = (given: unknown, more: object = {}): Promise<Answer> =>
    home.request('POST', `${V3}/login`, { body: { type: LOGIN, token: given, ...more } });
  const status = async (accessToken: unknown): Promise<number> =>
    (await home.request('GET', `${V3}/account/whoami`, { token: String(accessToken) })).status;

  it('is offered, and makes an account that is found again by issuer and subject', async () => {
    const { json } = await home.request('GET', `${V3}/login`);
    expect(json['flows']).toContain({ type: LOGIN });
    const first = await logIn(await token());
    expect([first.status, first.json['user_id'], first.json['device_id']]).toEqual([
      200,
      '@recorder:hamburg.example',
      'SERVICE',
    ]);
    expect(first.json['refresh_token']).toBeUndefined();
    expect(await status(first.json['access_token'])).toBe(200);
    expect((await logIn(await token(), { device_id: 'TWO' })).json['user_id']).toBe('@recorder:hamburg.example');
    // A person who has that name there is somebody else.
    const person = await home.request('POST', `${V3}/login`, {
      body: { type: 'm.login.token', token: await home.loginToken({ sub: 'p', preferred_username: 'recorder' }) },
    });
    expect(person.json['user_id']).not.toBe('@recorder:hamburg.example');
  });

  it('goes on without interruption by another log-in on the same device, and ends without one', async () => {
    const ended: string[] = [];
    home.sessions.onEnd((_userId, deviceId) => void ended.push(deviceId));
    const first = await logIn(await token());
    home.clock.advance(CHECK_MS / 2);
    const second = await logIn(await token({ iat: Math.floor(home.clock.now() / 1000), exp: home.clock.now() }));
    expect([await status(first.json['access_token']), await status(second.json['access_token'])]).toEqual([200, 200]);
    home.clock.advance(CHECK_MS / 2 + 1);
    await home.sessions.endExpired();
    expect([await status(first.json['access_token']), await status(second.json['access_token'])]).toEqual([401, 200]);
    expect(ended).toEqual([]);
    home.clock.advance(CHECK_MS / 2);
    await home.sessions.endExpired();
    expect(ended).toEqual(['SERVICE']);
    expect(await home.sessions.devices('@recorder:hamburg.example')).toEqual([]);
  });

  it('leaves the sessions of people alone, whose tokens of before have expired as well', async () => {
    const { json } = await home.request('POST', `${V3}/login`, {
      body: { type: 'm.login.token', token: await home.loginToken({ sub: 'anna' }), refresh_token: true },
    });
    home.clock.advance(2 * CHECK_MS);
    await home.sessions.endExpired();
    const answer = await home.request('POST', `${V3}/refresh`, { body: { refresh_token: json['refresh_token'] } });
    expect(answer.status).toBe(200);
  });

  it('makes an administrator only of a service that has that role, too', async () => {
    const moderates = async ({ json }: Answer): Promise<boolean> => {
      const answer = await home.request('GET', `${V3}/capabilities`, { token: String(json['access_token']) });
      return Object.hasOwn(answer.json['capabilities'] as object, 'm.account_moderation');
    };
    expect(await moderates(await logIn(await token()))).toBeFalse();
    expect(await moderates(await logIn(await token({ roles: ['hansetag-service', 'hansetag-admin'] })))).toBeTrue();
  });

  const { privateKey: foreign } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const now = Math.floor(Date.now() / 1000);
  const refused: readonly [string, () => Promise<string>, RegExp][] = [
    ['without the role', () => token({ roles: ['hansetag-admin'] }), /no role hansetag-service/],
    ['without roles', () => token({ roles: undefined }), /no role hansetag-service/],
    ['for another audience', () => token({ aud: 'another' }), /"aud"/],
    ['without an audience', () => token({ aud: undefined }), /"aud"/],
    ['of another issuer', () => token({ iss: 'https://id.example' }), /"iss"/],
    ['that has expired', () => token({ iat: now - 900, exp: now - 600 }), /"exp"/],
    ['that never expires', () => token({ exp: undefined }), /"exp"/],
    ['of a person at a client', () => token({ sub: 'anna', azp: 'recorder' }), /of a person/],
    ['of a person with a session', () => token({ sid: 'a-session' }), /of a person/],
    ['for logging a person in', () => token({ aud: CLIENT_ID, nonce: 'n' }), /of a person/],
    ['that names no client', () => token({ client_id: undefined }), /of a person/],
    [
      'for logging out',
      () => token({ events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
      /person/,
    ],
    ['of the type ID', () => token({ typ: 'ID' }), /no access token/],
    ['of the type logout+jwt', () => token({}, { typ: 'logout+jwt' }), /no access token/],
    ['of another key', () => home.provider.logoutToken(RECORDER, { typ: 'at+jwt' }, foreign), /not good/],
    ['that is none', () => Promise.resolve('a.b.c'), /not good/],
  ];
  for (const [name, make, says] of refused) {
    it(`is refused by a token ${name}`, async () => {
      const { status: got, json } = await logIn(await make());
      expect([got, json['errcode']]).toEqual([403, 'M_FORBIDDEN']);
      expect(json['error']).toMatch(says);
      expect(await home.accounts.exists('@recorder:hamburg.example')).toBeFalse();
    });
  }

  it('is refused without a token or with one that is too long, and says so', async () => {
    expect((await logIn(undefined)).status).toBe(400);
    expect((await logIn('x'.repeat(20_000))).status).toBe(400);
    expect((await logIn(7)).status).toBe(400);
  });

  it('says that the provider is away when its keys cannot be had', async () => {
    const good = await token();
    await home.provider.close();
    const { status: got, json } = await logIn(good);
    expect([got, json['errcode']]).toEqual([502, 'M_UNKNOWN']);
  });
});

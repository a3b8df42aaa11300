import { createHmac } from 'node:crypto';
import { SERVER_NAME, startHome } from './support.ts';
import type { Answer, TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';
const DUMMY = { type: 'm.login.dummy' };

describe('Registration', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await startHome({ passwords: { login: true, registration: true, adminSecret: 'shared secret' } });
  });
  afterAll(() => home.close());

  const register = (body: Record<string, unknown>): Promise<Answer> =>
    home.request('POST', `${V3}/register`, { body: { password: 'sUp3rs3kr1t', ...body } });

  it('names its flows first and makes the account in the session that it has begun', async () => {
    const asked = await home.request('POST', `${V3}/register`, { body: {} });
    expect(asked.status).toBe(401);
    expect(asked.json).toEqual({
      session: jasmine.any(String),
      flows: [{ stages: ['m.login.dummy'] }],
      params: {},
      completed: [],
    });
    const answer = await register({
      username: 'Über'.slice(1),
      device_id: 'xyzzy',
      initial_device_display_name: 'my device',
      refresh_token: true,
      auth: { ...DUMMY, session: asked.json['session'] },
    });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      user_id: `@ber:${SERVER_NAME}`,
      device_id: 'xyzzy',
      home_server: SERVER_NAME,
      access_token: jasmine.any(String),
      refresh_token: jasmine.any(String),
      expires_in_ms: jasmine.any(Number),
    });
    const token = String(answer.json['access_token']);
    expect((await home.request('GET', `${V3}/account/whoami`, { token })).json['user_id']).toBe(`@ber:${SERVER_NAME}`);
    expect(await home.accounts.displayName(`@ber:${SERVER_NAME}`)).toBe('ber');
    const again = await register({ username: 'other', auth: { ...DUMMY, session: asked.json['session'] } });
    expect(again.json['user_id']).withContext('the same session once more').toBe(`@ber:${SERVER_NAME}`);
    expect((await register({ auth: { ...DUMMY, session: 'of nobody' } })).status).toBe(400);
  });

  it('remembers what was said when the session was begun', async () => {
    const begun = await home.request('POST', `${V3}/register`, {
      body: {
        username: 'remembered',
        password: 'sUp3rs3kr1t',
        device_id: 'first',
        initial_device_display_name: 'Mine',
      },
    });
    expect(begun.status).toBe(401);
    const auth = { ...DUMMY, session: begun.json['session'] };
    const answer = await home.request('POST', `${V3}/register`, { body: { auth } });
    expect([answer.json['user_id'], answer.json['device_id']]).toEqual([`@remembered:${SERVER_NAME}`, 'first']);
    const token = String(answer.json['access_token']);
    const device = await home.request('GET', `${V3}/devices/first`, { token });
    expect(device.json).toEqual(
      jasmine.objectContaining({ user_id: `@remembered:${SERVER_NAME}`, display_name: 'Mine' }),
    );
    const login = await home.request('POST', `${V3}/login`, {
      body: { type: 'm.login.password', user: 'remembered', password: 'sUp3rs3kr1t' },
    });
    expect(login.status).toBe(200);
    const proof = { type: 'm.login.password', user: 'remembered', password: 'sUp3rs3kr1t' };
    const end = { token: String(login.json['access_token']), body: { auth: proof } };
    expect((await home.request('POST', `${V3}/account/deactivate`, end)).status).toBe(200);
    expect((await home.request('POST', `${V3}/register`, { body: { auth } })).status)
      .withContext('ended')
      .toBe(403);
  });

  it('takes names with the characters of user ids, in lower case', async () => {
    for (const [index, character] of Array.from('q3._=-/+').entries()) {
      const answer = await register({ username: `Name${String(index)}${character}`, auth: DUMMY });
      expect(answer.json['user_id'])
        .withContext(character)
        .toBe(`@name${String(index)}${character}:${SERVER_NAME}`);
    }
  });

  it('refuses names that are no user ids, belong to others or are too long', async () => {
    for (const username of ['', 'a b', 'a:b', 'é', 'a\n', '@a', '_bridge', '12345', 'guest-abc', 'x'.repeat(255)]) {
      const answer = await register({ username, auth: DUMMY });
      expect(answer.status).withContext(username).toBe(400);
      expect(answer.json['errcode']).withContext(username).toBe('M_INVALID_USERNAME');
    }
  });

  it('refuses a name that is taken, before and after', async () => {
    expect((await home.request('GET', `${V3}/register/available?username=twice`)).json).toEqual({ available: true });
    expect((await register({ username: 'twice', auth: DUMMY })).status).toBe(200);
    for (const answer of [
      await register({ username: 'Twice', auth: DUMMY }),
      await register({ username: 'twice' }),
      await home.request('GET', `${V3}/register/available?username=twice`),
    ]) {
      expect(answer.status).toBe(400);
      expect(answer.json['errcode']).toBe('M_USER_IN_USE');
    }
    const invalid = await home.request('GET', `${V3}/register/available?username=a%20b`);
    expect(invalid.json['errcode']).toBe('M_INVALID_USERNAME');
  });

  it('makes one account when two want the same name at once', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => register({ username: 'race', auth: DUMMY })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400]);
  });

  it('logs nobody in when that is not wanted, and invents a name when none is given', async () => {
    const answer = await register({ inhibit_login: true, auth: DUMMY });
    expect(answer.json).toEqual({
      user_id: jasmine.stringMatching(/^@u[a-z2-7]{12}:/) as unknown,
      home_server: SERVER_NAME,
    });
  });

  it('refuses what is malformed', async () => {
    for (const body of [{ username: 1 }, { password: '' }, { password: 'x'.repeat(513) }, { auth: 'x' }]) {
      const answer = await register({ username: 'malformed', auth: DUMMY, ...body });
      expect(answer.status).withContext(JSON.stringify(body)).toBe(400);
      expect(answer.json['errcode']).toBe('M_BAD_JSON');
    }
    expect((await home.request('POST', `${V3}/register?kind=admin`, { body: {} })).status).toBe(400);
    const without = await home.request('POST', `${V3}/register`, { body: { username: 'nopass', auth: DUMMY } });
    expect(without.json['errcode']).toBe('M_MISSING_PARAM');
    const other = await register({ username: 'malformed', auth: { type: 'm.login.password', password: 'x' } });
    expect(other.status).toBe(400);
  });

  it('lets guests in under a name of their own kind', async () => {
    const answer = await home.request('POST', `${V3}/register?kind=guest`, { body: {} });
    expect(answer.status).toBe(200);
    expect(answer.json['user_id']).toMatch(/^@guest-/);
    const whoami = await home.request('GET', `${V3}/account/whoami`, { token: String(answer.json['access_token']) });
    expect(whoami.json['is_guest']).toBeTrue();
  });

  it('is closed unless it was switched on', async () => {
    const closed = await startHome({ passwords: { login: true } });
    for (const [method, path] of [
      ['POST', '/register'],
      ['POST', '/register?kind=guest'],
      ['GET', '/register/available?username=a'],
    ] as const) {
      const answer = await closed.request(method, V3 + path, method === 'POST' ? { body: { auth: DUMMY } } : {});
      expect(answer.status).withContext(path).toBe(403);
      expect(answer.json['errcode']).toBe('M_FORBIDDEN');
    }
    expect((await closed.request('GET', '/_synapse/admin/v1/register')).status).toBe(404);
    await closed.close();
  });

  describe('with the shared secret', () => {
    const PATH = '/_synapse/admin/v1/register';

    async function nonce(): Promise<string> {
      return String((await home.request('GET', PATH)).json['nonce']);
    }

    async function signed(username: string, { admin = false, secret = 'shared secret' } = {}): Promise<Answer> {
      const once = await nonce();
      const mac = createHmac('sha1', secret)
        .update([once, username, 'pass', admin ? 'admin' : 'notadmin'].join('\0'))
        .digest('hex');
      return await home.request('POST', PATH, { body: { nonce: once, username, password: 'pass', admin, mac } });
    }

    it('makes people and administrators', async () => {
      const admin = await signed('Chief', { admin: true });
      expect(admin.json['user_id']).toBe(`@chief:${SERVER_NAME}`);
      expect((await home.accounts.find(`@chief:${SERVER_NAME}`))?.admin).toBeTrue();
      const person = await signed('person');
      expect((await home.accounts.find(`@person:${SERVER_NAME}`))?.admin).toBeFalse();

      const whois = `${V3}/admin/whois/@person:${SERVER_NAME}`;
      const asked = await home.request('GET', whois, { token: String(admin.json['access_token']) });
      expect(asked.json['user_id']).toBe(`@person:${SERVER_NAME}`);
      expect((await home.request('GET', whois, { token: String(person.json['access_token']) })).status).toBe(200);
      const above = `${V3}/admin/whois/@chief:${SERVER_NAME}`;
      const refused = await home.request('GET', above, { token: String(person.json['access_token']) });
      expect(refused.json['errcode']).toBe('M_FORBIDDEN');
    });

    it('refuses wrong signatures, invented and used nonces, and names that are none', async () => {
      expect((await signed('us,er')).json['errcode']).toBe('M_INVALID_USERNAME');
      expect((await signed('liar', { secret: 'another' })).status).toBe(403);
      const body = { nonce: 'invented', username: 'liar', password: 'pass', mac: 'x' };
      expect((await home.request('POST', PATH, { body })).status).toBe(400);
      const used = { ...body, nonce: await nonce() };
      expect((await home.request('POST', PATH, { body: used })).status).toBe(403);
      expect((await home.request('POST', PATH, { body: used })).status).toBe(400);
      expect(await home.accounts.find(`@liar:${SERVER_NAME}`)).toBeUndefined();
    });
  });
});

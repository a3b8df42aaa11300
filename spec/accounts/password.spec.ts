import { Passwords } from '../../homeserver/accounts/passwords.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { Answer, TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';

describe('A password', () => {
  let home: TestHome;
  let names = 0;
  beforeAll(async () => {
    home = await startHome({ passwords: { login: true, registration: true } });
  });
  afterAll(() => home.close());

  interface Person {
    readonly userId: string;
    readonly token: string;
    readonly deviceId: string;
  }

  async function person(password = 'superuser'): Promise<Person> {
    const body = { username: `person${String(names++)}`, password, auth: { type: 'm.login.dummy' } };
    return session(await home.request('POST', `${V3}/register`, { body }));
  }
  function session({ json }: Answer): Person {
    return {
      userId: String(json['user_id']),
      token: String(json['access_token']),
      deviceId: String(json['device_id']),
    };
  }
  const login = (user: string, password: string, more: Record<string, unknown> = {}): Promise<Answer> =>
    home.request('POST', `${V3}/login`, {
      body: { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, ...more },
    });
  const proof = (userId: string, password: string): Record<string, unknown> => ({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: userId },
    password,
  });
  const status = async (token: string): Promise<number> =>
    (await home.request('GET', `${V3}/account/whoami`, { token })).status;

  it('logs in by the whole id, by the local part, in upper case and as old clients do', async () => {
    const { userId } = await person('übers3kr1t');
    expect((await home.request('GET', `${V3}/login`)).json['flows']).toContain({ type: 'm.login.password' });
    const localpart = userId.slice(1).split(':')[0] ?? '';
    for (const name of [userId, localpart, localpart.toUpperCase(), `@${localpart.toUpperCase()}:${SERVER_NAME}`]) {
      const answer = await login(name, 'übers3kr1t', { device_id: 'LAPTOP' });
      expect(answer.json['user_id']).withContext(name).toBe(userId);
      expect(answer.json['home_server']).toBe(SERVER_NAME);
      expect(answer.json['device_id']).toBe('LAPTOP');
    }
    const old = await home.request('POST', `${V3}/login`, {
      body: { type: 'm.login.password', user: localpart, password: 'übers3kr1t' },
    });
    expect(old.status).toBe(200);
  });

  it('does not log in when it is wrong, nobody’s, or names its owner in another way', async () => {
    const { userId } = await person();
    for (const answer of [
      await login(userId, 'wrong'),
      await login('nobody', 'superuser'),
      await login('@person0:elsewhere.example', 'superuser'),
      await login('', 'superuser', { identifier: { type: 'm.id.thirdparty', medium: 'email', address: 'a@b' } }),
    ]) {
      expect(answer.status).toBe(403);
      expect(answer.json).toEqual({ errcode: 'M_FORBIDDEN', error: jasmine.any(String) });
    }
    expect((await home.request('POST', `${V3}/login`, { body: { type: 'm.login.password' } })).json['errcode']).toBe(
      'M_MISSING_PARAM',
    );
    expect((await login(userId, 'superuser', { type: 'm.login.sso' })).status).toBe(400);
  });

  it('can not be guessed quickly, from one network or by trying many', async () => {
    const { userId } = await person();
    for (let i = 0; i < 10; i++) expect((await login(userId, 'wrong')).status).toBe(403);
    const answer = await login(userId, 'superuser');
    expect(answer.status).toBe(429);
    expect(answer.json['retry_after_ms']).toBeGreaterThan(0);
    const another = await person();
    expect((await login(another.userId, 'superuser')).status).toBe(200);
  });

  it('is changed by who knows it; other devices are logged out unless that is not wanted', async () => {
    const own = await person();
    const other = session(await login(own.userId, 'superuser'));
    const change = (password: string, next: string, more = {}): Promise<Answer> =>
      home.request('POST', `${V3}/account/password`, {
        token: own.token,
        body: { auth: proof(own.userId, password), new_password: next, ...more },
      });
    expect((await change('wrong', 'second')).json['errcode']).toBe('M_FORBIDDEN');
    expect(await status(other.token)).toBe(200);
    expect((await change('superuser', 'second')).status).toBe(200);
    expect(await status(own.token)).toBe(200);
    expect(await status(other.token)).toBe(401);
    expect((await login(own.userId, 'superuser')).status).toBe(403);
    const kept = session(await login(own.userId, 'second'));
    expect((await change('second', 'third', { logout_devices: false })).status).toBe(200);
    expect(await status(kept.token)).toBe(200);
  });

  it('is asked for before a device is deleted, and it must be that of the owner', async () => {
    const [own, stranger] = [await person(), await person()];
    const other = session(await login(own.userId, 'superuser', { initial_device_display_name: 'Phone' }));
    const path = `${V3}/devices/${other.deviceId}`;
    const remove = (body?: unknown): Promise<Answer> =>
      home.request('DELETE', path, { token: own.token, ...(body === undefined ? {} : { body }) });
    const asked = await remove();
    expect(asked.status).toBe(401);
    expect(asked.json['flows']).toEqual([{ stages: ['m.login.password'] }]);
    const wrong = await remove({ auth: proof(own.userId, 'wrong') });
    expect(wrong.status).toBe(401);
    expect(wrong.json).toEqual({
      errcode: 'M_FORBIDDEN',
      error: jasmine.any(String),
      session: jasmine.any(String),
      flows: [{ stages: ['m.login.password'] }],
      params: {},
      completed: [],
    });
    expect((await remove({ auth: proof(stranger.userId, 'superuser') })).status).toBe(403);
    expect((await home.request('GET', path, { token: own.token })).json['display_name']).toBe('Phone');
    const session1 = { session: asked.json['session'] };
    const elsewhere = await home.request('DELETE', `${V3}/devices/${own.deviceId}`, {
      token: own.token,
      body: { auth: { ...proof(own.userId, 'superuser'), ...session1 } },
    });
    expect(elsewhere.status).toBe(403);
    const changes: string[] = [];
    const stop = home.sessions.onDeviceChange((_userId, id, change) => void changes.push(`${id} ${change}`));
    expect((await remove({ auth: { ...proof(own.userId, 'superuser'), ...session1 } })).status).toBe(200);
    stop();
    expect(changes).toEqual([`${other.deviceId} deleted`]);
    expect((await home.request('GET', path, { token: own.token })).status).toBe(404);
    expect(await status(other.token)).toBe(401);
  });

  it('lets several devices go at once', async () => {
    const own = await person();
    const others = [await login(own.userId, 'superuser'), await login(own.userId, 'superuser')].map(session);
    const body = { devices: others.map(({ deviceId }) => deviceId) };
    const path = `${V3}/delete_devices`;
    expect((await home.request('POST', path, { token: own.token, body })).status).toBe(401);
    const auth = proof(own.userId, 'superuser');
    expect((await home.request('POST', path, { token: own.token, body: { ...body, auth } })).status).toBe(200);
    const { devices } = (await home.request('GET', `${V3}/devices`, { token: own.token })).json;
    expect(devices).toEqual([
      { device_id: own.deviceId, user_id: own.userId, last_seen_ip: '127.0.0.1', last_seen_ts: jasmine.any(Number) },
    ]);
  });

  it('names devices, only known ones', async () => {
    const own = await person();
    const rename = (id: string, body: unknown): Promise<Answer> =>
      home.request('PUT', `${V3}/devices/${id}`, { token: own.token, body });
    expect((await rename(own.deviceId, { display_name: 'Desk' })).json).toEqual({});
    expect((await rename(own.deviceId, {})).status).toBe(200);
    const device = await home.request('GET', `${V3}/devices/${own.deviceId}`, { token: own.token });
    expect(device.json['display_name']).toBe('Desk');
    expect((await rename('unknown', { display_name: 'Desk' })).status).toBe(404);
    expect((await rename('unknown', {})).status).toBe(404);
    expect((await rename(own.deviceId, { display_name: 'x'.repeat(101) })).status).toBe(400);
  });

  it('ends an account for good', async () => {
    const own = await person();
    const end = (password: string): Promise<Answer> =>
      home.request('POST', `${V3}/account/deactivate`, {
        token: own.token,
        body: { auth: { type: 'm.login.password', user: own.userId, password } },
      });
    const refused = await end('wrong');
    expect(refused.status).toBe(401);
    expect(refused.json['errcode']).toBe('M_FORBIDDEN');
    expect((await end('superuser')).json).toEqual({ id_server_unbind_result: 'no-support' });
    expect(home.left).toEqual([own.userId]);
    expect(await status(own.token)).toBe(401);
    const gone = await login(own.userId, 'superuser');
    expect(gone.status).toBe(403);
    expect(gone.json['errcode']).toBe('M_USER_DEACTIVATED');
    expect((await login(own.userId, 'wrong')).json['errcode']).toBe('M_FORBIDDEN');
    expect(await home.accounts.exists(own.userId)).toBeFalse();
    const again = await home.request('POST', `${V3}/register`, {
      body: { username: own.userId.slice(1).split(':')[0], password: 'x', auth: { type: 'm.login.dummy' } },
    });
    expect(again.json['errcode']).toBe('M_USER_IN_USE');
  });

  it('makes a token that logs in on another device, once', async () => {
    const own = await person();
    const path = '/_matrix/client/v1/login/get_token';
    expect((await home.request('POST', path, { token: own.token, body: {} })).status).toBe(401);
    const body = { auth: proof(own.userId, 'superuser') };
    const { json } = await home.request('POST', path, { token: own.token, body });
    expect(json['expires_in_ms']).toBe(120_000);
    const use = { type: 'm.login.token', token: json['login_token'] };
    expect((await home.request('POST', `${V3}/login`, { body: use })).json['user_id']).toBe(own.userId);
    expect((await home.request('POST', `${V3}/login`, { body: use })).status).toBe(403);
  });

  it('can not be used where passwords are switched off', async () => {
    const closed = await startHome();
    const { accessToken: token } = await closed.sessions.create(
      await closed.accounts.register({ localpart: 'anna', passwordHash: await new Passwords(4).hash('x') }),
    );
    const body = { type: 'm.login.password', user: 'anna', password: 'x' };
    expect((await closed.request('POST', `${V3}/login`, { body })).status).toBe(400);
    const change = { auth: body, new_password: 'y' };
    expect((await closed.request('POST', `${V3}/account/password`, { token, body: change })).status).toBe(403);
    const end = await closed.request('POST', `${V3}/account/deactivate`, { token, body: { auth: body } });
    expect(end.status).toBe(403);
    await closed.close();
  });
});

describe('The hash of a password', () => {
  it('differs each time, fits only its password and says how it was made', async () => {
    const passwords = new Passwords(4);
    const [one, two] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
    expect(one).not.toBe(two);
    expect(one).toMatch(/^scrypt\$4\$8\$3\$/);
    expect(one).not.toContain('secret');
    expect(await passwords.check('secret', one)).toBeTrue();
    expect(await passwords.check('Secret', one)).toBeFalse();
    expect(await passwords.check('secret', undefined)).toBeFalse();
    expect(await new Passwords(5).check('secret', one)).toBeTrue();
  });

  it('is computed for a bounded number of people at once', async () => {
    const passwords = new Passwords(4);
    const results = await Promise.allSettled(Array.from({ length: 300 }, () => passwords.check('x', undefined)));
    const refused = results.filter(({ status }) => status === 'rejected').length;
    expect(refused).toBe(98);
  });
});

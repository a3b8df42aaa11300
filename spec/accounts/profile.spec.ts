import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import type { RequestHandler } from 'express';
import { errorHandler } from '../../homeserver/base/errors.ts';
import { accountRouter } from '../../homeserver/accounts/federation-router.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { Answer, TestHome } from './support.ts';

const V3 = '/_matrix/client/v3';

describe('A profile', () => {
  let home: TestHome;
  let userId: string;
  let token: string;
  let strangerToken: string;
  beforeAll(async () => {
    home = await startHome({ passwords: { login: true, registration: true } });
    const [own, stranger] = await Promise.all(
      ['anna', 'bert'].map((username) =>
        home.request('POST', `${V3}/register`, {
          body: { username, password: 'x', auth: { type: 'm.login.dummy' } },
        }),
      ),
    );
    userId = String(own?.json['user_id']);
    token = String(own?.json['access_token']);
    strangerToken = String(stranger?.json['access_token']);
  });
  afterAll(() => home.close());

  const get = (key = ''): Promise<Answer> => home.request('GET', `${V3}/profile/${userId}${key}`);
  const put = (key: string, body: unknown): Promise<Answer> =>
    home.request('PUT', `${V3}/profile/${userId}/${key}`, { token, body });

  it('has a name, a picture and fields of its owner, and everybody may read it where anybody may register', async () => {
    expect((await put('displayname', { displayname: 'Anna Müller' })).json).toEqual({});
    expect((await put('avatar_url', { avatar_url: 'mxc://hamburg.example/anna' })).json).toEqual({});
    expect((await put('m.tz', { 'm.tz': 'Europe/Berlin' })).json).toEqual({});
    expect((await put('org.example.list', { 'org.example.list': [1, { a: null }] })).json).toEqual({});
    expect((await get()).json).toEqual({
      displayname: 'Anna Müller',
      avatar_url: 'mxc://hamburg.example/anna',
      'm.tz': 'Europe/Berlin',
      'org.example.list': [1, { a: null }],
    });
    expect((await get('/displayname')).json).toEqual({ displayname: 'Anna Müller' });
    expect((await get('/m.tz')).json).toEqual({ 'm.tz': 'Europe/Berlin' });
    for (const key of ['m.tz', 'avatar_url', 'org.example.list', 'org.example.never']) {
      const answer = await home.request('DELETE', `${V3}/profile/${userId}/${key}`, { token });
      expect(answer.json).withContext(key).toEqual({});
      expect((await get(`/${key}`)).status).toBe(key === 'avatar_url' ? 200 : 404);
    }
    await put('displayname', { displayname: '' });
    expect((await get()).json).toEqual({});
    expect((await get('/displayname')).json).toEqual({});
    expect(await home.accounts.displayName(userId)).toBe('anna');
  });

  it('can be changed by guests too where anybody can make an account', async () => {
    const { json } = await home.request('POST', `${V3}/register?kind=guest`, { body: {} });
    const path = `${V3}/profile/${String(json['user_id'])}/displayname`;
    const body = { displayname: 'Gast' };
    expect((await home.request('GET', path)).json)
      .withContext('before')
      .toEqual({});
    const answer = await home.request('PUT', path, { token: String(json['access_token']), body });
    expect(answer.status).toBe(200);
    expect((await home.request('GET', path)).json).toEqual(body);
  });

  it('is changed by its owner only', async () => {
    for (const method of ['PUT', 'DELETE']) {
      for (const key of ['displayname', 'm.tz']) {
        const path = `${V3}/profile/${userId}/${key}`;
        const body = { [key]: 'x' };
        expect((await home.request(method, path, { token: strangerToken, body })).status).toBe(403);
        expect((await home.request(method, path, { body })).status).toBe(401);
      }
    }
  });

  it('refuses keys and values that can not be, and does not grow without bound', async () => {
    const code = async (key: string, body: unknown): Promise<unknown> => (await put(key, body)).json['errcode'];
    expect(await code('displayname', {})).toBe('M_MISSING_PARAM');
    expect(await code('displayname', { displayname: 1 })).toBe('M_BAD_JSON');
    expect(await code('avatar_url', { avatar_url: null })).toBe('M_BAD_JSON');
    expect(await code('avatar_url', { avatar_url: 'x'.repeat(1001) })).toBe('M_BAD_JSON');
    expect(await code('m.tz', [])).toBe('M_MISSING_PARAM');
    const long = `a${'b'.repeat(255)}`;
    expect(await code(long, { [long]: 1 })).toBe('M_KEY_TOO_LARGE');
    expect(await code('A%20key', { 'A key': 1 })).toBe('M_INVALID_PARAM');
    expect(await code('__proto__', JSON.parse('{"__proto__":1}') as unknown)).toBe('M_INVALID_PARAM');
    const half = 'x'.repeat(40_000);
    expect((await put('org.one', { 'org.one': half })).status).toBe(200);
    expect(await code('org.two', { 'org.two': half })).toBe('M_PROFILE_TOO_LARGE');
    expect((await put('org.one', { 'org.one': half })).status).toBe(200);
    await home.request('DELETE', `${V3}/profile/${userId}/org.one`, { token });
  });

  it('of somebody elsewhere comes from their server, and there is none of nobody', async () => {
    const path = `${V3}/profile/@clara:elsewhere.example`;
    expect((await home.request('GET', path)).json).toEqual({ displayname: 'Remote @clara:elsewhere.example' });
    expect((await home.request('GET', `${path}/avatar_url`)).json).toEqual({});
    expect((await home.request('GET', `${path}/org.example.field`)).status).toBe(404);
    expect((await home.request('GET', `${V3}/profile/@nobody:${SERVER_NAME}`)).json['errcode']).toBe('M_NOT_FOUND');
    expect((await home.request('GET', `${V3}/profile/nobody`)).status).toBe(400);
  });
});

describe('A profile that another server asks for', () => {
  let home: TestHome;
  let server: Server;
  beforeAll(async () => {
    home = await startHome();
    // Who asks is checked elsewhere.
    const signed: RequestHandler = (_request, _response, next) => next();
    const app = express();
    app.use(accountRouter({ ...home, serverName: SERVER_NAME, signed }), errorHandler(createLog('silent')));
    server = createServer((request, response) => void app(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await home.close();
  });

  it('is the whole or one field, of people of this server only', async () => {
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '1', preferredUsername: 'anna' });
    await home.profiles.set(userId, 'm.tz', 'Europe/Berlin');
    const ask = async (query: string): Promise<[number, unknown]> => {
      const { port } = server.address() as AddressInfo;
      const response = await fetch(`http://127.0.0.1:${String(port)}/v1/query/profile?${query}`);
      return [response.status, await response.json()];
    };
    expect(await ask(`user_id=${userId}`)).toEqual([200, { displayname: 'anna', 'm.tz': 'Europe/Berlin' }]);
    expect(await ask(`user_id=${userId}&field=m.tz`)).toEqual([200, { 'm.tz': 'Europe/Berlin' }]);
    expect(await ask(`user_id=${userId}&field=avatar_url`)).toEqual([200, {}]);
    expect((await ask(`user_id=@nobody:${SERVER_NAME}`))[0]).toBe(404);
    for (const query of ['', 'user_id=anna', 'user_id=@anna:elsewhere.example', 'user_id=@anna:localhost:http']) {
      expect((await ask(query))[0])
        .withContext(query)
        .toBe(400);
    }
  });
});

describe('A proof of identity for other services', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await startHome();
  });
  afterAll(() => home.close());

  it('says who somebody is, for an hour, and only to its owner', async () => {
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '1', preferredUsername: 'anna' });
    const { accessToken: token } = await home.sessions.create(userId);
    const path = (id: string): string => `${V3}/user/${encodeURIComponent(id)}/openid/request_token`;
    const { json } = await home.request('POST', path(userId), { token, body: {} });
    expect(json).toEqual({
      access_token: jasmine.any(String),
      token_type: 'Bearer',
      matrix_server_name: SERVER_NAME,
      expires_in: 3600,
    });
    const other = await home.request('POST', path(`@bert:${SERVER_NAME}`), { token, body: {} });
    expect(other.status).toBe(403);
    const info = (value: string): Promise<Answer> =>
      home.request('GET', `/_matrix/federation/v1/openid/userinfo?access_token=${value}`);
    expect((await info(String(json['access_token']))).json).toEqual({ sub: userId });
    expect((await info('invented')).status).toBe(401);
    expect((await info(token)).json['errcode']).toBe('M_UNKNOWN_TOKEN');
    expect((await home.request('GET', '/_matrix/federation/v1/openid/userinfo')).status).toBe(401);
    home.clock.advance(3600_000);
    expect((await info(String(json['access_token']))).status).toBe(401);
  });

  it('is asked for unsigned, while profiles are not', async () => {
    const answer = await home.request('GET', `/_matrix/federation/v1/query/profile?user_id=@anna:${SERVER_NAME}`);
    expect(answer.status).toBe(401);
  });

  it('is the only service beside Matrix', async () => {
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '2', preferredUsername: 'bert' });
    const { accessToken: token } = await home.sessions.create(userId);
    const expected: [path: string, status: number, json: unknown][] = [
      ['/account/3pid', 200, { threepids: [] }],
      ['/voip/turnServer', 200, {}],
      ['/thirdparty/protocols', 200, {}],
      ['/thirdparty/location', 200, []],
    ];
    for (const [path, status, json] of expected) {
      const answer = await home.request('GET', V3 + path, { token });
      expect(answer.status).withContext(path).toBe(status);
      expect(answer.json)
        .withContext(path)
        .toEqual(json as Record<string, unknown>);
      expect((await home.request('GET', V3 + path)).status)
        .withContext(path)
        .toBe(401);
    }
    expect((await home.request('GET', `${V3}/thirdparty/protocol/irc`, { token })).status).toBe(404);
    for (const path of ['/account/3pid', '/account/3pid/add', '/account/3pid/bind', '/register/email/requestToken']) {
      const answer = await home.request('POST', V3 + path, { token, body: {} });
      expect(answer.json['errcode']).withContext(path).toBe('M_THREEPID_DENIED');
    }
    const removed = await home.request('POST', `${V3}/account/3pid/delete`, { token, body: {} });
    expect(removed.json).toEqual({ id_server_unbind_result: 'no-support' });
    expect((await home.request('POST', `${V3}/account/3pid/other`, { token, body: {} })).status).toBe(404);
    const probe = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device';
    expect((await home.request('GET', probe, { token })).status).toBe(404);
  });
});

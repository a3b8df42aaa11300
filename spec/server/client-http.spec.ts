import { connect } from 'node:net';
import { startHome } from '../accounts/support.ts';
import type { TestHome } from '../accounts/support.ts';

const V3 = '/_matrix/client/v3';

describe('The client server', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await startHome();
  });
  afterAll(() => home.close());

  it('answers 404 M_UNRECOGNIZED for an unknown path and 405 for a wrong method', async () => {
    for (const path of [
      `${V3}/nothing`,
      '/_hansetag/nothing',
      '/_matrix/',
      '/.well-known/matrix/nothing',
      '/nothing',
    ]) {
      const answer = await home.request('GET', path);
      expect(answer.status).withContext(path).toBe(404);
      expect(answer.json['errcode']).toBe('M_UNRECOGNIZED');
    }
    const wrong = await home.request('PUT', `${V3}/login`, { body: {} });
    expect(wrong.status).toBe(405);
    expect(wrong.json['errcode']).toBe('M_UNRECOGNIZED');
  });

  it('says that an answer is JSON, and nothing more of its type', async () => {
    for (const path of [`${V3}/login`, '/_matrix/client/versions', '/_matrix/nothing']) {
      const answer = await fetch(`${home.url}${path}`);
      expect(answer.headers.get('content-type')).withContext(path).toBe('application/json');
      await answer.json();
    }
  });

  it('refuses bodies that are not JSON or not the JSON of Matrix', async () => {
    const cases: [raw: string, code: string][] = [
      ['{', 'M_NOT_JSON'],
      ['type=m.login.token', 'M_NOT_JSON'],
      ['{"type":"a","type":"b"}', 'M_BAD_JSON'],
      ['{"type":1.5}', 'M_BAD_JSON'],
      [`${'['.repeat(200)}${']'.repeat(200)}`, 'M_BAD_JSON'],
      ['{"type":"\\ud800"}', 'M_BAD_JSON'],
      ['{}', 'M_BAD_JSON'],
      ['[]', 'M_BAD_JSON'],
      ['"x"', 'M_BAD_JSON'],
    ];
    for (const [raw, code] of cases) {
      const answer = await home.request('POST', `${V3}/login`, { raw });
      expect(answer.status).withContext(raw).toBe(400);
      expect(answer.json['errcode']).withContext(raw).toBe(code);
    }
  });

  it('refuses a body that is not UTF-8, compressed or too large', async () => {
    const post = (body: Uint8Array, headers: Record<string, string> = {}) =>
      fetch(`${home.url}${V3}/login`, { method: 'POST', body, headers });
    expect((await post(Buffer.from([0x22, 0xff, 0x22]))).status).toBe(400);
    expect((await post(Buffer.from('{}'), { 'content-encoding': 'gzip' })).status).toBe(415);
    const large = await post(Buffer.alloc(1024 * 1024 + 1, 0x20));
    expect(large.status).toBe(413);
    expect(await large.json()).toEqual(jasmine.objectContaining({ errcode: 'M_TOO_LARGE' }));
  });

  it('stops reading a body without announced length when it is too large', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(home.url);
      const socket = connect(Number(port), hostname, () => {
        socket.write(`POST ${V3}/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
        const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`;
        for (let i = 0; i < 17; i++) socket.write(chunk);
      });
      let text = '';
      socket.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      socket.on('close', () => resolve(text)).on('error', reject);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('M_TOO_LARGE');
  });

  it('answers a malformed address as the asker’s mistake', async () => {
    const answer = await home.request('GET', `${V3}/login/sso/redirect/%ff`);
    expect(answer.status).toBe(400);
    expect(answer.json['errcode']).toBe('M_INVALID_PARAM');
  });

  it('gives an unforeseen error a reference that finds it in the log, and tells nothing else', async () => {
    const broken = await startHome();
    await broken.db.query('DROP TABLE tokens');
    const answer = await broken.request('GET', `${V3}/account/whoami`, { token: 'hst_secret' });
    expect(answer.status).toBe(500);
    expect(answer.json['errcode']).toBe('M_UNKNOWN');
    expect(String(answer.json['error'])).not.toContain('tokens');
    const log = broken.logged.join('\n');
    expect(log).toContain(`"reference":"${String(answer.json['reference'])}"`);
    expect(log).toContain('tokens');
    await broken.close();
  });

  it('lets web pages of any origin use the Matrix API, and only that', async () => {
    const options = await fetch(`${home.url}${V3}/login`, { method: 'OPTIONS' });
    expect(options.status).toBe(200);
    expect(options.headers.get('access-control-allow-origin')).toBe('*');
    expect(options.headers.get('access-control-allow-methods')).toBe('GET, POST, PUT, DELETE, OPTIONS');
    expect(options.headers.get('access-control-allow-headers')).toBe('X-Requested-With, Content-Type, Authorization');
    const wellKnown = await home.request('GET', '/.well-known/matrix/client');
    expect(wellKnown.headers.get('access-control-allow-origin')).toBe('*');
    expect(wellKnown.json).toEqual({ 'm.homeserver': { base_url: home.url } });
    const refused = await home.request('GET', `${V3}/account/whoami`);
    expect(refused.headers.get('access-control-allow-origin')).toBe('*');
    const own = await home.request('GET', '/_hansetag/client/v1/info');
    expect(own.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('forbids foreign scripts and frames', async () => {
    const { headers } = await home.request('GET', '/_hansetag/client/v1/info');
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain(`connect-src 'self' ${home.url.replace('http', 'ws')};`);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('says who it is, what it can and how it is', async () => {
    expect((await home.request('GET', '/_hansetag/client/v1/info')).json).toEqual({
      organisation: { serverName: 'hamburg.example', displayName: 'Hansestadt Hamburg', colour: '#d00000' },
      version: '1',
      login: { sso: true, password: false },
      legal: {},
    });
    const { versions } = (await home.request('GET', '/_matrix/client/versions')).json;
    expect(versions).toContain('v1.11');
    expect((await home.request('GET', '/_hansetag/health')).json).toEqual({
      status: 'degraded',
      database: 'up',
      sfu: 'down',
      identityProvider: 'up',
    });
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '1' });
    const { accessToken: token } = await home.sessions.create(userId);
    const { json } = await home.request('GET', `${V3}/capabilities`, { token });
    expect(json['capabilities']).toEqual(
      jasmine.objectContaining({ 'm.room_versions': jasmine.objectContaining({ default: '12' }) }),
    );
    expect((await home.request('GET', '/_matrix/client/r0/capabilities', { token })).status).toBe(200);
  });
});

describe('Rate limits: HTTP requests', () => {
  it('answer 429 with the time to wait', async () => {
    const home = await startHome({ rateLimitFactor: 0.01 });
    const attempt = () => home.request('POST', `${V3}/login`, { body: { type: 'm.login.token', token: 'x' } });
    expect((await attempt()).status).toBe(403);
    expect((await attempt()).status).toBe(403);
    const answer = await attempt();
    expect(answer.status).toBe(429);
    expect(answer.json['errcode']).toBe('M_LIMIT_EXCEEDED');
    expect(answer.json['retry_after_ms']).toBeGreaterThan(0);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await home.close();
  });

  it('can not be escaped by inventing where a request comes from', async () => {
    const home = await startHome({ rateLimitFactor: 0.005 });
    const statuses: number[] = [];
    for (const address of ['10.1.1.1', '10.1.1.2', '10.1.1.3']) {
      const response = await fetch(`${home.url}${V3}/refresh`, {
        method: 'POST',
        body: '{"refresh_token":"x"}',
        headers: { 'x-forwarded-for': address },
      });
      statuses.push(response.status);
    }
    expect(statuses).toEqual([401, 429, 429]);
    await home.close();
  });
});

import 'reflect-metadata';
import { createHmac, webcrypto } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { loadConfig } from '../../homeserver/config.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { startHomeserver } from '../../homeserver/app/server.ts';
import type { Homeserver } from '../../homeserver/app/server.ts';
import { emptyDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { freePort } from '../support/ports.ts';

const V3 = '/_matrix/client/v3';
const SECRET = 'complement';

interface Server {
  readonly name: string;
  readonly url: string;
  readonly running: Homeserver;
  readonly database: TestDatabase;
}
interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}
interface Person {
  readonly server: Server;
  readonly userId: string;
  readonly token: string;
}

describe('Two plain homeservers side by side', () => {
  let folder: string;
  let servers: Server[];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-plain-'));
    await writeCertificate(folder);
    servers = [await start(folder), await start(folder)];
  });
  afterAll(async () => {
    await Promise.all(servers.map(({ running }) => running.close()));
    await Promise.all(servers.map(({ database }) => database.close()));
    await rm(folder, { recursive: true });
  });

  const server = (index: number): Server => servers[index] as Server;

  it('make accounts, and tell each other of profiles', async () => {
    const anna = await register(server(0), 'anna');
    const bert = await register(server(1), 'bert');
    await ask(anna, 'PUT', `/profile/${anna.userId}/displayname`, { displayname: 'Anna' });
    await ask(anna, 'PUT', `/profile/${anna.userId}/avatar_url`, { avatar_url: 'mxc://a/b' });
    await ask(anna, 'PUT', `/profile/${anna.userId}/m.tz`, { 'm.tz': 'Europe/Berlin' });
    const seen = await ask(bert, 'GET', `/profile/${anna.userId}`);
    expect(seen.json).toEqual({ displayname: 'Anna', avatar_url: 'mxc://a/b', 'm.tz': 'Europe/Berlin' });
    expect((await ask(bert, 'GET', `/profile/${anna.userId}/m.tz`)).json).toEqual({ 'm.tz': 'Europe/Berlin' });
    expect((await ask(bert, 'GET', `/profile/@nobody:${server(0).name}`)).status).toBe(404);
    expect((await request(server(0), 'GET', `${V3}/profile/${anna.userId}`)).status).toBe(200);
  });

  it('tell rooms of a changed name, and of somebody whose account has ended', async () => {
    const anna = await register(server(0), 'anna2');
    const bert = await register(server(1), 'bert2');
    const { room_id: roomId } = (await ask(anna, 'POST', '/createRoom', { preset: 'public_chat' })).json;
    const join = `/join/${String(roomId)}?server_name=${server(0).name}`;
    expect((await ask(bert, 'POST', join, {})).status).toBe(200);
    await ask(anna, 'PUT', `/profile/${anna.userId}/displayname`, { displayname: 'Anna Neu' });
    const member = `/rooms/${String(roomId)}/state/m.room.member/${anna.userId}`;
    expect((await ask(anna, 'GET', member)).json['displayname']).toBe('Anna Neu');
    await until(async () => (await ask(bert, 'GET', member)).json['displayname'] === 'Anna Neu');
    const auth = { type: 'm.login.password', user: anna.userId, password: 'superuser' };
    expect((await ask(anna, 'POST', '/account/deactivate', { auth })).status).toBe(200);
    await until(async () => (await ask(bert, 'GET', member)).json['membership'] === 'leave');
  });

  it('prove who somebody is to services that know only the federation address', async () => {
    const anna = await register(server(0), 'anna3');
    const { json } = await ask(anna, 'POST', `/user/${anna.userId}/openid/request_token`, {});
    const path = `/_matrix/federation/v1/openid/userinfo?access_token=${String(json['access_token'])}`;
    expect((await request(server(0), 'GET', path)).json).toEqual({ sub: anna.userId });
  });

  it('make administrators by the shared secret, who write to people in the name of the server', async () => {
    const path = '/_synapse/admin/v1/register';
    const { nonce } = (await request(server(0), 'GET', path)).json;
    const mac = createHmac('sha1', SECRET).update([nonce, 'chief', 'pass', 'admin'].join('\0')).digest('hex');
    const body = { nonce, username: 'chief', password: 'pass', admin: true, mac };
    const { json } = await request(server(0), 'POST', path, { body });
    expect(json['user_id']).toBe(`@chief:${server(0).name}`);
    const token = String(json['access_token']);

    const anna = await register(server(0), 'anna5');
    const notices = '/_synapse/admin/v1/send_server_notice';
    const notice = { user_id: anna.userId, content: { msgtype: 'm.text', body: 'hello' } };
    const refused = await request(server(0), 'POST', notices, { token: anna.token });
    expect(refused.json['errcode']).toBe('M_FORBIDDEN');
    const send = async (): Promise<unknown> =>
      (await request(server(0), 'POST', notices, { token, body: notice })).json['event_id'];
    const invitations = async (): Promise<[string, unknown][]> => {
      const { rooms } = (await ask(anna, 'GET', '/sync')).json as { rooms?: { invite?: Record<string, unknown> } };
      return Object.entries(rooms?.invite ?? {});
    };
    const [eventId] = await Promise.all([send(), send()]);
    const [[roomId, invitation] = ['', undefined], ...others] = await invitations();
    expect(others).toEqual([]);
    expect(JSON.stringify(invitation)).toContain(`"sender":"@_server:${server(0).name}"`);
    const leave = (): Promise<Answer> => ask(anna, 'POST', `/rooms/${roomId}/leave`, {});
    expect((await leave()).json['errcode']).toBe('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM');
    expect((await ask(anna, 'POST', `/join/${roomId}`, {})).status).toBe(200);
    expect((await ask(anna, 'GET', `/rooms/${roomId}/event/${String(eventId)}`)).status).toBe(200);
    expect((await leave()).status).toBe(200);
    await send();
    expect((await invitations()).map(([id]) => id)).toEqual([roomId]);
    const once = (): Promise<Answer> => request(server(0), 'PUT', `${notices}/1`, { token, body: notice });
    expect((await once()).json['event_id']).toBe((await once()).json['event_id']);
  });

  it('let guests into rooms that let them in, and take them out again', async () => {
    const owner = await register(server(0), 'owner');
    const room = async (allowed: string): Promise<string> => {
      const state = { type: 'm.room.guest_access', state_key: '', content: { guest_access: allowed } };
      const body = { preset: 'public_chat', initial_state: [state] };
      return String((await ask(owner, 'POST', '/createRoom', body)).json['room_id']);
    };
    const { json } = await request(server(0), 'POST', `${V3}/register?kind=guest`, { body: {} });
    const guest = { server: server(0), userId: String(json['user_id']), token: String(json['access_token']) };
    const [open, closed] = [await room('can_join'), await room('forbidden')];
    const refused = await ask(guest, 'POST', `/join/${closed}`, {});
    expect(refused.json['errcode']).toBe('M_GUEST_ACCESS_FORBIDDEN');
    expect((await ask(guest, 'POST', `/join/%23nothing:${server(0).name}`, {})).status).toBe(403);
    expect((await ask(guest, 'POST', `/rooms/${open}/join`, {})).status).toBe(200);
    expect((await ask(guest, 'PUT', `/rooms/${open}/send/m.room.message/1`, { body: 'hello' })).status).toBe(200);
    const invite = await ask(guest, 'POST', `/rooms/${open}/invite`, { user_id: owner.userId });
    expect(invite.json['errcode']).toBe('M_GUEST_ACCESS_FORBIDDEN');
    expect((await ask(guest, 'POST', '/createRoom', {})).status).toBe(403);
    await ask(owner, 'PUT', `/rooms/${open}/state/m.room.guest_access`, { guest_access: 'forbidden' });
    const member = `/rooms/${open}/state/m.room.member/${guest.userId}`;
    await until(async () => (await ask(owner, 'GET', member)).json['membership'] === 'leave');
    expect((await ask(owner, 'GET', `/rooms/${open}/joined_members`)).json['joined']).toEqual({
      [owner.userId]: jasmine.anything(),
    });
  });

  it('answer what is unknown as Matrix says', async () => {
    const anna = await register(server(0), 'anna4');
    for (const path of [
      '/_matrix/unknown',
      '/_matrix/client/unknown',
      '/_matrix/client/v1/unknown',
      `${V3}/room/unknown`,
    ]) {
      const answer = await request(server(0), 'GET', path, { token: anna.token });
      expect(answer.status).withContext(path).toBe(404);
      expect(answer.json['errcode']).withContext(path).toBe('M_UNRECOGNIZED');
    }
    for (const path of [
      '/_matrix/federation/unknown',
      '/_matrix/federation/v1/unknown',
      '/_matrix/key/unknown',
      '/_matrix/key/v2/unknown',
      '/_matrix/media/unknown',
      '/_matrix/media/v3/unknown',
    ]) {
      const answer = await request(server(0), 'GET', path, { token: anna.token });
      expect(answer.status).withContext(path).toBe(404);
      expect(answer.json['errcode']).withContext(path).toBe('M_UNRECOGNIZED');
    }
    for (const path of [
      `${V3}/login`,
      '/_matrix/federation/v1/version',
      '/_matrix/key/v2/query',
      '/_matrix/media/v3/upload',
    ]) {
      const answer = await request(server(0), 'PUT', path, { token: anna.token, body: {} });
      expect(answer.status).withContext(path).toBe(405);
      expect(answer.json['errcode']).withContext(path).toBe('M_UNRECOGNIZED');
    }
  });

  async function register(home: Server, username: string): Promise<Person> {
    const body = { username, password: 'superuser', auth: { type: 'm.login.dummy' } };
    const { json } = await request(home, 'POST', `${V3}/register`, { body });
    return { server: home, userId: String(json['user_id']), token: String(json['access_token']) };
  }

  async function ask(person: Person, method: string, path: string, body?: unknown): Promise<Answer> {
    return request(person.server, method, V3 + path, { token: person.token, body });
  }

  async function until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

async function request(
  { url }: Server,
  method: string,
  path: string,
  { token, body }: { token?: string; body?: unknown } = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

async function start(folder: string): Promise<Server> {
  const database = await emptyDatabase();
  const [clientPort, federationPort] = [await freePort(), await freePort()];
  const name = `localhost:${String(federationPort)}`;
  const url = `http://127.0.0.1:${String(clientPort)}`;
  const config = loadConfig({
    HANSETAG_SERVER_NAME: name,
    HANSETAG_PUBLIC_URL: url,
    HANSETAG_CLIENT_LISTEN: `127.0.0.1:${String(clientPort)}`,
    HANSETAG_FEDERATION_LISTEN: `127.0.0.1:${String(federationPort)}`,
    HANSETAG_FEDERATION_CERT: join(folder, 'cert.pem'),
    HANSETAG_FEDERATION_KEY: join(folder, 'key.pem'),
    HANSETAG_FEDERATION_CA: join(folder, 'cert.pem'),
    HANSETAG_FEDERATION_HOSTS: 'localhost=127.0.0.1',
    HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/8',
    HANSETAG_SIGNING_KEY_FILE: join(folder, `${String(federationPort)}.key`),
    HANSETAG_REGISTRATION: '1',
    HANSETAG_PASSWORD_COST: '10',
    HANSETAG_ADMIN_SECRET: SECRET,
    HANSETAG_RATE_LIMITS: 'off',
    DATABASE_URL: database.url,
  });
  return { name, url, database, running: await startHomeserver(config, createLog('silent')) };
}

async function writeCertificate(folder: string): Promise<void> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    notAfter: new Date(Date.now() + 60 * 60 * 1000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
  });
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  await writeFile(join(folder, 'cert.pem'), certificate.toString('pem'));
  await writeFile(join(folder, 'key.pem'), x509.PemConverter.encode(der, 'PRIVATE KEY'));
}

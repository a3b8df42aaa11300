/**
 * Somebody with a guest link of Hamburg goes on with an account of Lübeck: what works, and what others can make of the
 * code. Hamburg federates with Lübeck and with a server that lies; a third one is not trusted.
 */
import { FederationError } from '../../federation/client.ts';
import type { JsonObject } from '../../federation/json.ts';
import { signJson } from '../../federation/signing.ts';
import { LINK_ERRORS } from '../../protocol/guest-links.ts';
import { at, type Answer, type TestFederation, type TestHomeserver, type TestUser } from '../support/homeservers.ts';
import { hansetag, startMeetingServers } from '../support/meetings.ts';
import { Peer } from '../support/peer.ts';

describe('Guest link: L11: codes for another organisation', () => {
  let federation: TestFederation;
  let hamburg: TestHomeserver;
  let luebeck: TestHomeserver;
  let mallory: Peer;
  let stranger: Peer;
  let anna: TestUser;
  let people = 0;
  let roomId: string;

  beforeAll(async () => {
    federation = await startMeetingServers(2);
    [hamburg, luebeck] = federation.servers as [TestHomeserver, TestHomeserver];
    mallory = await Peer.start(federation);
    stranger = await Peer.start(federation);
    for (const peer of [mallory, stranger])
      peer.answer = (path) => (path.endsWith('/discovery') ? about(peer) : undefined);
    await hamburg.stop();
    const trusted = [luebeck, mallory].map(({ serverName }) => serverName);
    await hamburg.start({ HANSETAG_TRUST: 'allowlist', HANSETAG_TRUST_SERVERS: trusted.join(',') });
    anna = await hamburg.register('anna');
  }, 90_000);
  afterAll(async () => {
    await stranger.close();
    await mallory.close();
    await federation.close();
  });
  beforeEach(async () => {
    const made = await hansetag(hamburg, anna.token, 'POST', 'meetings', { title: 'Deich' });
    roomId = String(at(made.body, 'roomId'));
  });

  /** A discovery document with whatever in it. */
  function about(peer: Peer, client: unknown = 'https://meet.mallory.example'): JsonObject {
    const document = {
      server_name: peer.serverName,
      organisation: { display_name: 'Mallory', colour: '#000000' },
      client,
      issued_ts: Date.now(),
      valid_until_ts: Date.now() + 600_000,
    } as JsonObject;
    return signJson(document, peer.serverName, peer.key);
  }
  const links = (): string => `meetings/${encodeURIComponent(roomId)}/links`;
  const person = (): Promise<TestUser> => luebeck.register(`person-${String(people++)}`);
  async function link(settings: object = {}): Promise<{ linkId: string; token: string }> {
    const { body } = await hansetag(hamburg, anna.token, 'POST', links(), settings);
    return { linkId: String(at(body, 'linkId')), token: String(at(body, 'url')).split('/').at(-1) ?? '' };
  }
  const elsewhere = (token: string, organisation: string, password?: string): Promise<Answer> =>
    hansetag(hamburg, undefined, 'POST', `links/${token}/elsewhere`, { organisation, password });
  /** A code for a server. */
  async function codeFor(token: string, organisation = luebeck.serverName): Promise<string> {
    const answer = await elsewhere(token, organisation);
    expect(answer.status).withContext(JSON.stringify(answer.body)).toBe(200);
    return new URL(String(at(answer.body, 'url'))).searchParams.get('code') ?? '';
  }
  const joinFrom = (user: TestUser, code: string, server = hamburg.serverName): Promise<Answer> =>
    hansetag(luebeck, user.token, 'POST', 'join-from', { server, code });
  const outcome = ({ status, body }: Answer): unknown[] => [status, at(body, 'errcode')];
  const membership = async (userId: string): Promise<unknown> => {
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(userId)}`;
    return at((await anna.ask('GET', path)).body, 'membership');
  };
  /** A signed request of a server that the spec plays. */
  async function redeem(peer: Peer, code: string, userId: string): Promise<unknown[]> {
    try {
      const path = '/_hansetag/federation/v1/links/redeem';
      const body = { code, user_id: userId };
      return [200, await peer.client.request({ destination: hamburg.serverName, method: 'POST', path, body })];
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      return [error.status, error.errcode];
    }
  }

  it('take somebody into the meeting, with their own account, and never the link', async () => {
    const { token } = await link();
    const bert = await person();
    const answer = await elsewhere(token, luebeck.serverName);
    expect(answer.status).toBe(200);
    const url = new URL(String(at(answer.body, 'url')));
    expect([url.origin, url.pathname]).toEqual([luebeck.url, '/join-from']);
    expect([...url.searchParams.keys()]).toEqual(['server', 'code']);
    expect(url.searchParams.get('server')).toBe(hamburg.serverName);
    expect(url.href).not.toContain(token);
    const preview = await hansetag(luebeck, bert.token, 'GET', `join-from?server=${hamburg.serverName}`);
    expect(at(preview.body, 'organisation', 'serverName')).toBe(hamburg.serverName);
    const joined = await joinFrom(bert, url.searchParams.get('code') ?? '');
    expect([joined.status, joined.body]).toEqual([200, { roomId }]);
    expect(await membership(bert.userId)).toBe('join');
    const [listed] = at((await hansetag(hamburg, anna.token, 'GET', links())).body, 'links') as object[];
    expect([at(listed, 'uses'), at(listed, 'guests')]).toEqual([1, 0]);
    // Their organisation is known now by the address of its client, too, and by whatever somebody types of it.
    const { host } = new URL(luebeck.url);
    for (const typed of [
      luebeck.url,
      `${luebeck.url}/join/x?y`,
      host.toUpperCase(),
      bert.userId,
      `bert@${luebeck.serverName}`,
    ]) {
      expect(at((await elsewhere(token, ` ${typed} `)).body, 'organisation', 'serverName'))
        .withContext(typed)
        .toBe(luebeck.serverName);
    }
  });

  it('count once, also when they are used at the same time', async () => {
    const code = await codeFor((await link()).token);
    const users = await Promise.all([person(), person(), person()]);
    const answers = await Promise.all(users.map((user) => joinFrom(user, code)));
    expect(answers.filter(({ status }) => status === 200).length).toBe(1);
    for (const answer of answers.filter(({ status }) => status !== 200)) {
      expect(outcome(answer)).toEqual([404, LINK_ERRORS.code]);
    }
    expect(outcome(await joinFrom(await person(), code))).toEqual([404, LINK_ERRORS.code]);
  });

  it('are nothing to another server, which does not even use them up', async () => {
    const code = await codeFor((await link()).token);
    const bert = await person();
    expect(await redeem(mallory, code, mallory.userId('eve'))).toEqual([404, LINK_ERRORS.code]);
    expect(await redeem(mallory, code, bert.userId)).toEqual([403, 'M_FORBIDDEN']);
    expect((await redeem(stranger, code, stranger.userId('eve')))[0]).toBe(403);
    const unsigned = await hansetag(hamburg, anna.token, 'POST', 'join-from', { server: hamburg.serverName, code });
    expect(unsigned.status).toBe(400);
    expect((await joinFrom(bert, code)).status).toBe(200);
    expect(await membership(mallory.userId('eve'))).toBeUndefined();
  });

  it('are as nothing once the link is ended, replaced or used up', async () => {
    const [revoked, replaced, used] = [await link(), await link(), await link({ maxUses: 1 })];
    const codes = [await codeFor(revoked.token), await codeFor(replaced.token), await codeFor(used.token)];
    await hansetag(hamburg, anna.token, 'DELETE', `${links()}/${revoked.linkId}?guests=keep`);
    await hansetag(hamburg, anna.token, 'POST', `${links()}/${replaced.linkId}/replace`, {});
    await hansetag(hamburg, undefined, 'POST', `links/${used.token}/join`, { displayName: 'Gast' });
    const bert = await person();
    const outcomes = [];
    for (const code of codes) outcomes.push(outcome(await joinFrom(bert, code)));
    expect(outcomes).toEqual([
      [404, 'M_NOT_FOUND'],
      [404, 'M_NOT_FOUND'],
      [404, LINK_ERRORS.usedUp],
    ]);
    expect(await membership(bert.userId)).toBeUndefined();
    expect((await elsewhere(revoked.token, luebeck.serverName)).status).toBe(404);
  });

  it('need the link’s password where it has one', async () => {
    const { token } = await link({ password: 'Elbphilharmonie' });
    for (const password of [undefined, '', 'elbphilharmonie']) {
      expect(outcome(await elsewhere(token, luebeck.serverName, password))).toEqual([403, LINK_ERRORS.password]);
    }
    expect((await elsewhere(token, luebeck.serverName, 'Elbphilharmonie')).status).toBe(200);
  });

  it('are for organisations of the federation, and lead where their signed documents say', async () => {
    const { token } = await link();
    expect((await elsewhere(token, stranger.serverName)).status).toBe(403);
    expect(stranger.asked.filter((one) => !one.includes('/key/')))
      .withContext('nobody asks a server that is not trusted')
      .toEqual([]);
    for (const typed of [
      '',
      'Hamburg',
      'https://',
      'javascript:alert(1)',
      '../../etc',
      '[::1',
      '//evil.example',
      'a b',
    ]) {
      const { status } = await elsewhere(token, typed);
      expect([400, 403, 404]).withContext(typed).toContain(status);
    }
    const own = await elsewhere(token, hamburg.serverName);
    expect(new URL(String(at(own.body, 'url'))).origin).toBe(hamburg.url);
    const addresses: [unknown, number][] = [
      ['javascript:alert(1)', 404],
      ['data:text/html,x', 404],
      ['https://user:secret@meet.mallory.example', 404],
      ['//meet.mallory.example', 404],
      [7, 404],
      [undefined, 404],
      ['https://meet.mallory.example/hansetag/?x=https://evil.example#y', 200],
    ];
    for (const [client, status] of addresses) {
      mallory.answer = (path) => (path.endsWith('/discovery') ? about(mallory, client ?? null) : undefined);
      await hamburg.stop();
      await hamburg.start();
      const answer = await elsewhere(token, mallory.serverName);
      expect(answer.status).withContext(JSON.stringify(client)).toBe(status);
      if (status !== 200) continue;
      const url = new URL(String(at(answer.body, 'url')));
      expect([url.origin, url.pathname, url.hash, [...url.searchParams.keys()].join()]).toEqual([
        'https://meet.mallory.example',
        '/hansetag/join-from',
        '',
        'server,code',
      ]);
    }
  }, 60_000);

  it('are not for people who are banned, and their use comes back', async () => {
    const { token } = await link();
    const code = await codeFor(token);
    const bert = await person();
    const room = `client/v3/rooms/${encodeURIComponent(roomId)}`;
    await anna.must('POST', `${room}/ban`, { user_id: bert.userId });
    expect((await joinFrom(bert, code)).status).toBe(403);
    const [listed] = at((await hansetag(hamburg, anna.token, 'GET', links())).body, 'links') as object[];
    expect(at(listed, 'uses')).withContext('nobody came in').toBe(0);
  });

  it('take nobody into a meeting to which the other server did not invite them', async () => {
    const bert = await person();
    const other = await hansetag(luebeck, bert.token, 'POST', 'meetings', { title: 'Anderswo' });
    const carla = await person();
    const answers: JsonObject[] = [
      { room_id: String(at(other.body, 'roomId')), go: 'join' },
      { room_id: String(at(other.body, 'roomId')), go: 'knock' },
      { room_id: '!nowhere', go: 'wait' },
      { room_id: roomId, go: 'in' },
      { room_id: 7, go: 'join' },
      {},
    ];
    for (const answer of answers) {
      mallory.answer = (path) => (path.endsWith('/redeem') ? answer : undefined);
      const { status } = await joinFrom(carla, 'a'.repeat(43), mallory.serverName);
      expect(status).withContext(JSON.stringify(answer)).toBe(502);
    }
    const inside = `client/v3/rooms/${encodeURIComponent(String(at(other.body, 'roomId')))}/members`;
    const { body } = await bert.ask('GET', inside);
    expect(JSON.stringify(body)).not.toContain(carla.userId);
  });

  it('are not used by guests, nor with what is no code', async () => {
    const { token } = await link();
    const code = await codeFor(token);
    const guest = await luebeck.registerGuest();
    expect(outcome(await joinFrom(guest, code))).toEqual([403, 'M_GUEST_ACCESS_FORBIDDEN']);
    const bert = await person();
    for (const odd of ['', 'short', 'a'.repeat(129), '../'.repeat(10), token]) {
      expect([400, 404])
        .withContext(odd)
        .toContain((await joinFrom(bert, odd)).status);
    }
    for (const server of ['', 'no server', 'http://localhost', luebeck.serverName]) {
      expect([400, 403, 404, 502])
        .withContext(server)
        .toContain((await joinFrom(bert, code, server)).status);
    }
    expect((await joinFrom(bert, code)).status).toBe(200);
  });
});

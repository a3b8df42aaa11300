/** A22: other servers give answers of any length, and whoever may make us ask can have us ask anybody. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

const MIB = 1024 * 1024;
const LONG: JsonObject = { displayname: 'Mallory', padding: 'x'.repeat(10 * MIB) };

describe('A22: questions to other servers', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let anna: TestUser;
  let guest: TestUser;
  /** In a room with the guest. */
  let neighbour: Peer;
  /** In no room of ours. */
  let stranger: Peer;
  let web: Server;
  let visits: string[];
  let roomId: string;

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_PASSWORD_COST: '10', HANSETAG_URL_PREVIEWS: '1' });
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
    [neighbour, stranger] = await Promise.all([Peer.start(federation), Peer.start(federation)]);
    visits = [];
    web = createServer((request, response) => {
      visits.push(request.url ?? '');
      response.setHeader('Content-Type', 'text/html');
      response.end('<title>Found</title>');
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    anna = await server.register('anna');
    guest = await server.registerGuest();
    const room = await anna.must('POST', 'client/v3/createRoom', {
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }],
    });
    roomId = String(at(room, 'room_id'));
    neighbour.answer = (path) => (path.includes('/v1/send/') ? { pdus: {} } : undefined);
    await neighbour.join(server.serverName, roomId, neighbour.userId('nele'));
    await guest.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/join`, {});
  });
  beforeEach(() => {
    for (const peer of [neighbour, stranger]) {
      peer.asked.length = 0;
      // What is delivered is taken: a queue that had to wait would be late in these specs.
      peer.answer = (path) => (path.includes('/v1/send/') ? { pdus: {} } : undefined);
    }
    visits.length = 0;
  });
  afterAll(async () => {
    await federation.close();
    await Promise.all([neighbour.close(), stranger.close()]);
    await new Promise((resolve) => web.close(resolve));
  });

  /** What makes us ask a server, as method, path and body. */
  function questionsTo(peer: Peer): [method: string, path: string, body?: object][] {
    const user = peer.userId('mallory');
    const alias = encodeURIComponent(`#room:${peer.serverName}`);
    const room = encodeURIComponent(`!room:${peer.serverName}`);
    const via = `via=${encodeURIComponent(peer.serverName)}&server_name=${encodeURIComponent(peer.serverName)}`;
    return [
      ['GET', `client/v3/profile/${user}`],
      ['GET', `client/v3/profile/${user}/displayname`],
      ['GET', `client/r0/profile/${user}/avatar_url`],
      ['GET', `client/v3/directory/room/${alias}`],
      ['POST', 'client/v3/keys/query', { device_keys: { [user]: [] } }],
      ['POST', 'client/v3/keys/claim', { one_time_keys: { [user]: { DEVICE: 'signed_curve25519' } } }],
      ['GET', `client/v3/publicRooms?server=${peer.serverName}`],
      ['POST', `client/v3/publicRooms?server=${peer.serverName}`, {}],
      ['GET', `client/v1/room_summary/${room}?${via}`],
      ['GET', `client/v1/room_summary/${alias}?${via}`],
      ['POST', `client/v3/join/${room}?${via}`, {}],
      ['POST', `client/v3/join/${alias}?${via}`, {}],
      ['POST', `client/v3/rooms/${room}/join?${via}`, {}],
      ['POST', `client/v3/knock/${room}?${via}`, {}],
    ];
  }

  it('are answered by no more than an answer of the kind may have, also when six come at once', async () => {
    stranger.answer = () => LONG;
    const six = await Promise.all(
      Array.from({ length: 6 }, () => anna.ask('GET', `client/v3/profile/${stranger.userId('mallory')}`)),
    );
    for (const { status, body } of six) expect([status, at(body, 'errcode')]).toEqual([502, 'M_UNKNOWN']);
    for (const [method, path, body] of questionsTo(stranger)) {
      const before = stranger.asked.length;
      const { status, body: answer } = await anna.ask(method, path, body);
      expect(stranger.asked.length).withContext(path).toBeGreaterThan(before);
      if (path.includes('/keys/'))
        expect(at(answer, 'failures', stranger.serverName))
          .withContext(path)
          .toBeDefined();
      else expect(status).withContext(path).toBeGreaterThanOrEqual(400);
      expect(JSON.stringify(answer).length).withContext(path).toBeLessThan(1000);
    }
  });

  it('are not put for guests, nor for somebody who is not logged in, whatever they ask for', async () => {
    const address = `http://localhost:${String((web.address() as AddressInfo).port)}/page`;
    const toDevice = { messages: { [stranger.userId('mallory')]: { '*': { body: 'hello' } } } };
    const questions: [string, string, object?][] = [
      ...questionsTo(stranger),
      ...questionsTo(neighbour),
      ['GET', `client/v1/media/download/${stranger.serverName}/file`],
      ['GET', `client/v1/media/thumbnail/${stranger.serverName}/file?width=64&height=64`],
      ['GET', `client/v1/media/preview_url?url=${encodeURIComponent(address)}`],
      ['PUT', 'client/v3/sendToDevice/m.test/1', toDevice],
    ];
    const askers: [string, (method: string, path: string, body?: object) => Promise<Answer>][] = [
      ['guest', (method, path, body) => guest.ask(method, path, body)],
      ['nobody', (method, path, body) => server.ask(method, path, body)],
    ];
    for (const [name, ask] of askers) {
      for (const [method, path, body] of questions) {
        const { status, body: answer } = await ask(method, path, body);
        const withContext = `${name}: ${method} ${path}: ${JSON.stringify(answer)}`;
        if (path.includes('/keys/') && name === 'guest') {
          const [failure] = Object.values(at(answer, 'failures') as object) as unknown[];
          expect(at(failure, 'errcode')).withContext(withContext).toBe('M_GUEST_ACCESS_FORBIDDEN');
        } else {
          expect([401, 403, 404]).withContext(withContext).toContain(status);
        }
      }
    }
    const isQuestion = (asked: string): boolean => !asked.includes('/v1/send/');
    expect([...stranger.asked, ...neighbour.asked, ...visits].filter(isQuestion)).toEqual([]);
    // It was not for want of a way there.
    await anna.ask('GET', `client/v1/media/preview_url?url=${encodeURIComponent(address)}`);
    await anna.ask('GET', `client/v1/media/download/${stranger.serverName}/file`);
    expect(visits).toEqual(['/page']);
    expect(stranger.asked.some((asked) => asked.includes('/media/'))).toBeTrue();
  });

  it('go on for guests where they are in a room with the other server: messages, files, and the way out', async () => {
    const room = `client/v3/rooms/${encodeURIComponent(roomId)}`;
    const members = await guest.must('GET', `${room}/joined_members`);
    expect(at(members, 'joined', neighbour.userId('nele'))).toBeDefined();
    await guest.must('PUT', `${room}/send/m.room.message/1`, { msgtype: 'm.text', body: 'hello' });
    const delivered = (): boolean => neighbour.asked.some((asked) => asked.includes('/v1/send/'));
    await eventually(
      () => Promise.resolve(delivered()),
      (arrived) => arrived,
    );
    await guest.ask('GET', `client/v1/media/download/${neighbour.serverName}/file`);
    expect(neighbour.asked.some((asked) => asked.includes('/media/download/file'))).toBeTrue();
    neighbour.asked.length = 0;
    await guest.must('PUT', 'client/v3/sendToDevice/m.test/2', {
      messages: { [neighbour.userId('nele')]: { '*': { body: 'hello' } } },
    });
    await eventually(
      () => Promise.resolve(delivered()),
      (arrived) => arrived,
    );
    neighbour.asked.length = 0;
    await guest.must('POST', `${room}/leave`, {});
    await eventually(
      () => Promise.resolve(delivered()),
      (arrived) => arrived,
    );
    // Nothing is shared any more.
    const { status } = await guest.ask('GET', `client/v1/media/download/${neighbour.serverName}/other`);
    expect(status).toBe(403);
    expect(neighbour.asked.filter((asked) => asked.includes('/other'))).toEqual([]);
  });
});

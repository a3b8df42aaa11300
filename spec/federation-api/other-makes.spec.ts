/** What servers of other makes rely on, found with public suites of tests. */
import { request } from 'node:https';
import { readFileSync } from 'node:fs';
import { eventId, hashAndSign } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { canonicalJson, parseWithAnyNumbers } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { signRequest } from '../../federation/x-matrix.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';

describe('A homeserver among servers of other makes', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let other: TestHomeserver;
  let alice: TestUser;
  let peer: Peer;

  beforeAll(async () => {
    federation = await startHomeservers(2, {}, ['127.0.0.1']);
    [server, other] = federation.servers as [TestHomeserver, TestHomeserver];
    alice = await server.register('alice');
    peer = await Peer.start(federation);
  });

  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  beforeEach(() => {
    peer.answer = () => undefined;
  });

  const createRoom = async (settings: object): Promise<string> =>
    String(at(await alice.must('POST', 'client/v3/createRoom', settings), 'room_id'));

  const message = (room: PeerRoom, body: string): Pdu =>
    peer.event(room, { type: 'm.room.message', sender: peer.userId('charlie'), content: { body } });

  /** Sends a text as it is, properly signed. */
  async function sendText(
    text: string,
    method = 'PUT',
    path = `/_matrix/federation/v1/send/${String(Math.random())}`,
  ): Promise<unknown> {
    const [hostname, port] = server.serverName.split(':');
    const authorization = signRequest(
      {
        method,
        uri: path,
        origin: peer.serverName,
        destination: server.serverName,
        content: parseWithAnyNumbers(text) as JsonObject,
      },
      peer.key,
    );
    return new Promise((resolve, reject) => {
      const call = request(
        { hostname, port, path, method, ca: readFileSync(federation.tls.caFile), headers: { authorization } },
        (answer) => {
          let given = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => (given += chunk));
          answer.on('end', () => resolve({ status: answer.statusCode, body: parseWithAnyNumbers(given) }));
        },
      );
      call.on('error', reject);
      call.end(text);
    });
  }

  async function bodies(roomId: string): Promise<unknown[]> {
    const page = await alice.must('GET', `client/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=20`);
    return (at(page, 'chunk') as unknown[]).map((event) => at(event, 'content', 'body')).filter(Boolean);
  }

  it('takes the good events and messages of a transaction in which another has a number with a fraction', async () => {
    const room = await peer.join(
      server.serverName,
      await createRoom({ preset: 'public_chat' }),
      peer.userId('charlie'),
    );
    const good = message(room, 'good');
    const bad = canonicalJson(message(room, 'bad')).replace('"body":"bad"', '"body":"bad","value":1.5');
    const edu = '{"content":{"value":1.5},"edu_type":"m.typing"}';
    const answer = await sendText(`{"edus":[${edu}],"origin":"x","pdus":[${bad},${canonicalJson(good)}]}`);
    expect(at(answer, 'status')).toBe(200);
    expect(Object.keys(at(answer, 'body', 'pdus') as object)).toEqual([eventId(good, room.version)]);
    expect(await bodies(room.roomId)).toEqual(['good']);
  });

  it('takes and sends any numbers in messages from device to device and in profiles', async () => {
    const bob = await other.register('bertha');
    const contents = '{"a":1.5,"b":0.00002,"c":1e300,"d":12345678901234567890}';
    const heard = async (who: TestUser, type: string): Promise<unknown> => {
      const events = await eventually(
        async () =>
          at(await who.must('GET', 'client/v3/sync'), 'to_device', 'events') as { type: string }[] | undefined,
        (list) => list?.some((event) => event.type === type) ?? false,
      );
      return at(
        events?.find((event) => event.type === type),
        'content',
      );
    };
    const numbers = { a: 1.5, b: 0.00002, c: 1e300, d: 12345678901234567890 };
    const messages = { [alice.userId]: { '*': numbers }, [bob.userId]: { '*': numbers } };
    await alice.must('PUT', 'client/v3/sendToDevice/org.example.numbers/1', { messages });
    for (const who of [alice, bob]) expect(await heard(who, 'org.example.numbers')).toEqual(numbers);

    const message = `{"message_id":"1","messages":{"${alice.userId}":{"*":${contents}}},"sender":"${peer.userId('c')}","type":"org.example.peer"}`;
    const answer = await sendText(`{"edus":[{"content":${message},"edu_type":"m.direct_to_device"}],"pdus":[]}`);
    expect(at(answer, 'status')).toBe(200);
    expect(await heard(alice, 'org.example.peer')).toEqual(numbers);

    const path = (who: TestUser): string => `client/v3/profile/${encodeURIComponent(who.userId)}`;
    await alice.must('PUT', `${path(alice)}/org.example.numbers`, { 'org.example.numbers': numbers });
    for (const who of [alice, bob]) {
      expect(at(await who.must('GET', path(alice)), 'org.example.numbers')).toEqual(numbers);
    }
  });

  it('refuses numbers with a fraction in all other requests', async () => {
    const answer = await sendText('{"value":1.5}', 'POST', '/_matrix/federation/v1/user/keys/query');
    expect([at(answer, 'status'), at(answer, 'body', 'errcode')]).toEqual([400, 'M_BAD_JSON']);
  });

  it('asks for an event in questions for a state, whatever the room', async () => {
    for (const kind of ['state', 'state_ids']) {
      const answer = await peer.ask(server.serverName, 'GET', `v1/${kind}/!nowhere:${peer.serverName}`);
      expect(at(answer, 'status')).toBe(400);
    }
  });

  it('finds nothing missing when it is not told before what', async () => {
    const room = await peer.join(
      server.serverName,
      await createRoom({ preset: 'public_chat' }),
      peer.userId('charlie'),
    );
    const path = `v1/get_missing_events/${encodeURIComponent(room.roomId)}`;
    expect(JSON.stringify(await peer.ask(server.serverName, 'POST', path, {}))).toBe(
      '{"ok":true,"body":{"events":[]}}',
    );
  });

  it('says with a code that a server is kept out of a room', async () => {
    const room = await peer.join(
      server.serverName,
      await createRoom({ preset: 'public_chat' }),
      peer.userId('charlie'),
    );
    const path = `client/v3/rooms/${encodeURIComponent(room.roomId)}/state/m.room.server_acl`;
    await alice.must('PUT', path, { allow: ['*'], deny: ['localhost'] });
    const pdu = message(room, 'kept out');
    const result = (await peer.send(server.serverName, [pdu]))[eventId(pdu, room.version)];
    expect(at(result, 'errcode')).toBe('M_FORBIDDEN');
  });

  it('shows no redaction of what its sender may not redact, or of an event in another room', async () => {
    const [room, elsewhere] = await Promise.all(
      [1, 2].map(async () =>
        peer.join(server.serverName, await createRoom({ preset: 'public_chat' }), peer.userId('charlie')),
      ),
    );
    if (!room || !elsewhere) throw new Error('A room is missing.');
    const path = `client/v3/rooms/${encodeURIComponent(room.roomId)}/send/m.room.message/1`;
    const ours = String(at(await alice.must('PUT', path, { msgtype: 'm.text', body: 'ours' }), 'event_id'));
    const theirs = message(elsewhere, 'theirs');
    await peer.send(server.serverName, [theirs]);
    for (const redacts of [ours, eventId(theirs, elsewhere.version)]) {
      const sender = peer.userId('charlie');
      const pdu = peer.event(room, { type: 'm.room.redaction', sender, content: { redacts } });
      expect(JSON.stringify(await peer.send(server.serverName, [pdu]))).not.toContain('error');
    }
    expect(await bodies(room.roomId)).toEqual(['ours']);
    expect(await bodies(elsewhere.roomId)).toEqual(['theirs']);
    const page = await alice.must('GET', `client/v3/rooms/${encodeURIComponent(room.roomId)}/messages?dir=b&limit=20`);
    expect((at(page, 'chunk') as unknown[]).map((event) => at(event, 'type'))).not.toContain('m.room.redaction');
  });

  it('still tells what an invitation said after it was accepted on another server', async () => {
    const bob = await other.register('bob');
    const roomId = encodeURIComponent(
      await createRoom({ preset: 'private_chat', invite: [bob.userId], is_direct: true }),
    );
    await bob.must('POST', `client/v3/join/${roomId}`, {});
    const path = `client/v3/rooms/${roomId}/state/m.room.member/${encodeURIComponent(bob.userId)}?format=event`;
    const before = at(await bob.must('GET', path), 'unsigned', 'prev_content');
    expect([at(before, 'membership'), at(before, 'is_direct')]).toEqual(['invite', true]);
  });

  it('enters a room in whose state events can not be verified', async () => {
    const version = (await peer.join(server.serverName, await createRoom({ preset: 'public_chat' }), peer.userId('x')))
      .version;
    const host = peer.userId('host');
    const state: Pdu[] = [];
    let roomId = '';
    const add = (type: string, stateKey: string, content: JsonObject): Pdu => {
      const cited = state.filter((pdu) => pdu.type !== 'm.room.create').map((pdu) => eventId(pdu, version));
      const draft = {
        type,
        state_key: stateKey,
        content,
        sender: host,
        ...(roomId === '' ? {} : { room_id: roomId }),
        depth: state.length + 1,
        origin_server_ts: Date.now(),
        prev_events: state.slice(-1).map((pdu) => eventId(pdu, version)),
        auth_events: cited.slice(0, 2),
      } as UnsignedPdu;
      const pdu = hashAndSign(draft, version, peer.serverName, peer.key);
      state.push(pdu);
      return pdu;
    };
    roomId = `!${eventId(add('m.room.create', '', { room_version: version.id }), version).slice(1)}`;
    add('m.room.member', host, { membership: 'join' });
    add('m.room.power_levels', '', {});
    const rules = add('m.room.join_rules', '', { join_rule: 'public' });
    const last = state.at(-1) as Pdu;
    const name = { ...add('m.room.name', '', { name: 'unsigned' }), signatures: {} } as Pdu;
    peer.answer = (path): JsonObject | undefined => {
      if (path.includes('/make_join/')) {
        return {
          room_version: version.id,
          event: {
            type: 'm.room.member',
            room_id: roomId,
            sender: alice.userId,
            state_key: alice.userId,
            content: { membership: 'join' },
            depth: 9,
            prev_events: [eventId(last, version)],
            auth_events: [state[2] as Pdu, rules].map((pdu) => eventId(pdu, version)),
          },
        };
      }
      if (path.includes('/send_join/')) return { state: [...state.slice(0, -1), name], auth_chain: [] };
      return undefined;
    };
    await alice.must('POST', `client/v3/join/${encodeURIComponent(roomId)}?server_name=${peer.serverName}`, {});
    const names = await alice.ask('GET', `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.name`);
    expect(names.status).toBe(404);
  });
});

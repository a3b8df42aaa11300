/** Deeply nested JSON: refused where people write it, and read whatever of it is stored or comes in a list. */
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';
import { nested } from './kit/dear-inputs.ts';

describe('A3: deeply nested JSON', () => {
  let federation: TestFederation;
  let luebeck: TestHomeserver;
  let bert: TestUser;
  let anna: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(2);
    const [first, second] = federation.servers;
    if (!first || !second) throw new Error('There are no servers.');
    luebeck = first;
    bert = await first.register('bert');
    anna = await second.register('anna');
  });
  afterAll(() => federation.close());

  const room = async (): Promise<string> =>
    String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));

  it('of a user is refused wherever it can be written, and nothing of it is kept', async () => {
    const roomId = encodeURIComponent(await room());
    const user = encodeURIComponent(bert.userId);
    const deep = nested(51);
    const writes: [string, string, unknown][] = [
      ['PUT', `client/v3/rooms/${roomId}/send/m.room.message/1`, deep],
      ['PUT', `client/v3/rooms/${roomId}/state/org.example.deep/`, deep],
      ['PUT', `client/v3/sendToDevice/org.example.deep/1`, { messages: { [anna.userId]: { '*': deep } } }],
      ['PUT', `client/v3/user/${user}/account_data/org.example.deep`, deep],
      ['PUT', `client/v3/user/${user}/rooms/${roomId}/account_data/org.example.deep`, deep],
      ['PUT', `client/v3/user/${user}/rooms/${roomId}/tags/deep`, deep],
      ['PUT', `client/v3/profile/${user}/org.example.deep`, { 'org.example.deep': deep }],
      ['POST', `client/v3/user/${user}/filter`, deep],
      ['POST', 'client/v3/createRoom', { initial_state: [{ type: 'org.example.deep', content: deep }] }],
    ];
    for (const [method, path, body] of writes) {
      const answer = await bert.ask(method, path, body);
      expect([answer.status, at(answer.body, 'errcode')])
        .withContext(path)
        .toEqual([400, 'M_BAD_JSON']);
    }
    expect((await bert.ask('GET', 'client/v3/sync')).status).toBe(200);
  });

  it('of a user that is just not too deep crosses to others and is read by everybody', async () => {
    const roomId = await room();
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}`;
    await anna.must('POST', `client/v3/join/${encodeURIComponent(roomId)}?server_name=${luebeck.serverName}`, {});
    await bert.must('PUT', `${path}/send/org.example.deep/1`, nested(50));
    await bert.must('PUT', `${path}/state/org.example.deep/`, nested(50));
    await bert.must('PUT', 'client/v3/sendToDevice/org.example.deep/2', {
      messages: { [anna.userId]: { '*': nested(46) } },
    });
    await bert.must('PUT', `${path}/send/m.room.message/2`, { msgtype: 'm.text', body: 'after it' });
    await eventually(
      () => anna.must('GET', `${path}/messages?dir=b&limit=10`),
      (page) => JSON.stringify(page).includes('after it') && JSON.stringify(page).includes('org.example.deep'),
    );
    await eventually(
      () => anna.must('GET', 'client/v3/sync'),
      (sync) => Array.isArray(at(sync, 'to_device', 'events')),
    );
    expect((await anna.ask('GET', `${path}/state`)).status).toBe(200);
  });

  describe('of another server', () => {
    let peer: Peer;
    let mallory: string;
    let shared: PeerRoom;

    beforeAll(async () => {
      peer = await Peer.start(federation);
      mallory = peer.userId('mallory');
      shared = await peer.join(luebeck.serverName, await room(), mallory);
    });
    afterAll(() => peer.close());

    const seen = async (text: string): Promise<void> => {
      await eventually(
        () => bert.must('GET', `client/v3/rooms/${encodeURIComponent(shared.roomId)}/messages?dir=b&limit=20`),
        (page) => JSON.stringify(page).includes(text),
      );
    };

    for (const depth of [98, 490, 510, 900]) {
      it(`does not spoil the transaction that it comes in, with ${String(depth)} levels`, async () => {
        const deep = peer.event(shared, { sender: mallory, type: 'org.example.deep', content: nested(depth) as never });
        const text = `beside ${String(depth)} levels`;
        const message = peer.event(shared, {
          sender: mallory,
          type: 'm.room.message',
          content: { msgtype: 'm.text', body: text },
        });
        const edus = [
          { edu_type: 'm.typing', content: nested(depth) as never },
          { no_type: true },
          { edu_type: 'm.typing', content: { room_id: shared.roomId, user_id: mallory, typing: true } },
        ];
        const body = { origin: peer.serverName, origin_server_ts: 1, pdus: [deep, message], edus };
        const answer = await peer.ask(luebeck.serverName, 'PUT', `v1/send/deep-${String(depth)}`, body as never);
        expect(answer.ok).toBeTrue();
        await seen(text);
        expect((await bert.ask('GET', 'client/v3/sync')).status).toBe(200);
        const path = `client/v3/rooms/${encodeURIComponent(shared.roomId)}`;
        expect((await bert.ask('GET', `${path}/messages?dir=b&limit=20`)).status).toBe(200);
      });
    }
  });
});

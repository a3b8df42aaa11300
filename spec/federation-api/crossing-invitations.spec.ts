import type { JsonObject } from '../../federation/json.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { HostedRoom } from '../support/peer-host.ts';
import { Peer } from '../support/peer.ts';

describe('An invitation from another server', () => {
  let federation: TestFederation;
  let ours: TestHomeserver;
  let peer: Peer;
  let anna: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(1, {});
    [ours] = federation.servers as [TestHomeserver];
    peer = await Peer.start(federation);
    anna = await ours.register('anna');
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  it('that is declined while its user enters the room does not shut the user out', async () => {
    const room = HostedRoom.make(peer);
    const [create] = room.events.values();
    const invitation = room.say({
      type: 'm.room.member',
      state_key: anna.userId,
      sender: room.creator,
      content: { membership: 'invite' },
    });
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    let asked = false;
    peer.answer = async (path, body): Promise<JsonObject | undefined> => {
      if (!path.includes('/make_leave/')) return room.answer(path, body);
      asked = true;
      await held;
      return undefined;
    };
    const inRoom = encodeURIComponent(room.roomId);
    const sent = await peer.ask(
      ours.serverName,
      'PUT',
      `v2/invite/${inRoom}/${encodeURIComponent(room.id(invitation))}`,
      { room_version: '12', event: invitation, invite_room_state: [create as unknown as JsonObject] },
    );
    expect(sent.ok).toBeTrue();

    const declined = anna.must('POST', `client/v3/rooms/${inRoom}/leave`, {});
    await eventually(
      async () => asked,
      (is) => is,
    );
    await anna.must('POST', `client/v3/join/${inRoom}?via=${peer.serverName}`, {});
    release();
    await declined;

    expect(at(await anna.must('GET', 'client/v3/joined_rooms'), 'joined_rooms')).toEqual([room.roomId]);
    expect((await anna.ask('GET', `client/v3/rooms/${inRoom}/state/m.room.create/`)).status).toBe(200);
  });
});

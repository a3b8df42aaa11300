import { wireForm } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
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

  describe('that overtakes the removal which it follows', () => {
    let room: HostedRoom;
    let inRoom: string;
    beforeEach(() => {
      room = HostedRoom.make(peer);
      inRoom = encodeURIComponent(room.roomId);
      peer.answer = (path, body) => {
        if (path.includes('/send/')) for (const pdu of (body as { pdus: Pdu[] }).pdus) room.add(pdu);
        return room.answer(path, body);
      };
    });

    /** Resolves when who holds the room knows of it, too. */
    const enter = async (user: TestUser): Promise<void> => {
      const before = room.current('m.room.member', user.userId);
      await user.must('POST', `client/v3/join/${inRoom}?via=${peer.serverName}`, {});
      await eventually(
        () => Promise.resolve(room.current('m.room.member', user.userId)),
        (current) => current !== before,
      );
    };
    const member = (user: TestUser, membership: string): Pdu =>
      room.say({
        type: 'm.room.member',
        state_key: user.userId,
        sender: room.creator,
        content: { membership },
      });
    const invite = async (invitation: Pdu): Promise<boolean> => {
      const [create] = room.events.values();
      const { ok } = await peer.ask(
        ours.serverName,
        'PUT',
        `v2/invite/${inRoom}/${encodeURIComponent(room.id(invitation))}`,
        { room_version: '12', event: invitation, invite_room_state: [create as unknown as JsonObject] },
      );
      return ok;
    };
    const send = (...events: Pdu[]): Promise<unknown> =>
      peer.send(
        ours.serverName,
        events.map((pdu) => wireForm(pdu, room.version)),
      );
    const membership = async (user: TestUser): Promise<string | undefined> => {
      const rooms = at(await user.must('GET', 'client/v3/sync'), 'rooms');
      return ['join', 'invite'].find((kind) => at(rooms, kind, room.roomId) !== undefined);
    };
    const becomes = (user: TestUser, what: string | undefined): Promise<unknown> =>
      eventually(
        () => membership(user),
        (found) => found === what,
      );

    it('is there when the removal comes, also after a restart, and can be accepted', async () => {
      await enter(anna);
      const [removal, invitation] = [member(anna, 'leave'), member(anna, 'invite')];
      expect(await invite(invitation)).toBeTrue();
      expect(await membership(anna))
        .withContext('as far as is known here')
        .toBe('join');
      await ours.stop();
      await ours.start();
      await send(removal);
      await becomes(anna, 'invite');
      await enter(anna);
      // A sync shows no more than what is complete up to its position, which may be a moment behind.
      await becomes(anna, 'join');
      await anna.must('POST', `client/v3/rooms/${inRoom}/leave`, {});
      // It was answered.
      await becomes(anna, undefined);
    });

    it('is there when all of ours are removed, in whatever order', async () => {
      const dora = await ours.register('dora');
      await enter(anna);
      await enter(dora);
      const removals = [member(anna, 'leave'), member(dora, 'leave')];
      const invitations = [member(anna, 'invite'), member(dora, 'invite')];
      for (const invitation of invitations) expect(await invite(invitation)).toBeTrue();
      await send(...removals);
      await becomes(anna, 'invite');
      await becomes(dora, 'invite');
    });

    it('is not that of a server which is not in the room', async () => {
      const frida = await ours.register('frida');
      const stranger = await Peer.start(federation);
      try {
        await enter(frida);
        const [removal, invitation] = [member(frida, 'leave'), member(frida, 'invite')];
        expect(await invite(invitation)).toBeTrue();
        const { signatures: _, ...unsigned } = { ...invitation, sender: stranger.userId('mallory') };
        const theirs = stranger.sign(unsigned as UnsignedPdu, room.version);
        const [create] = room.events.values();
        const path = `v2/invite/${inRoom}/${encodeURIComponent(room.id(theirs))}`;
        const body = { room_version: '12', event: theirs, invite_room_state: [create as unknown as JsonObject] };
        expect((await stranger.ask(ours.serverName, 'PUT', path, body)).ok).toBeTrue();
        await send(removal);
        await becomes(frida, 'invite');
        const { rooms } = (await frida.must('GET', 'client/v3/sync')) as { rooms: JsonObject };
        const events = at(rooms, 'invite', room.roomId, 'invite_state', 'events') as { sender: string; type: string }[];
        expect(events.filter(({ type }) => type === 'm.room.member').map(({ sender }) => sender)).toEqual([
          room.creator,
        ]);
      } finally {
        await stranger.close();
      }
    });

    it('comes with the room while others of ours are in it, and once', async () => {
      const emil = await ours.register('emil');
      await enter(anna);
      await enter(emil);
      const [removal, invitation] = [member(anna, 'leave'), member(anna, 'invite')];
      await invite(invitation);
      await send(removal);
      await becomes(anna, undefined);
      await send(invitation);
      await becomes(anna, 'invite');
      await anna.must('POST', `client/v3/rooms/${inRoom}/leave`, {});
      await emil.must('POST', `client/v3/rooms/${inRoom}/leave`, {});
      await becomes(anna, undefined);
    });
  });
});

import { eventId, isCreate } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import type { PeerRoom } from '../support/peer.ts';

describe('What a server answers to others about a room', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let peer: Peer;
  let other: Peer;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    bert = await server.register('bert');
    [peer, other] = [await Peer.start(federation), await Peer.start(federation)];
  });
  afterAll(async () => {
    await Promise.all([peer.close(), other.close()]);
    await federation.close();
  });

  const create = async (version: string): Promise<string> => {
    const body = { preset: 'public_chat', room_version: version };
    return String(at(await bert.must('POST', 'client/v3/createRoom', body), 'room_id'));
  };
  const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  const ids = (value: unknown, version: RoomVersion): string[] =>
    (Array.isArray(value) ? (value as Pdu[]) : []).map((pdu) => eventId(pdu, version));

  /** Joins by hand, to see the whole answer. */
  async function sendJoin(who: Peer, roomId: string, userId: string, omit: boolean): Promise<unknown> {
    const room = encodeURIComponent(roomId);
    const query = ['10', '11', '12'].map((id) => `ver=${id}`).join('&');
    const made = await who.ask(server.serverName, 'GET', `v1/make_join/${room}/${encodeURIComponent(userId)}?${query}`);
    const version = roomVersion(String(at(made, 'body', 'room_version')));
    if (!version) throw new Error(JSON.stringify(made));
    const template = at(made, 'body', 'event') as UnsignedPdu;
    const join = who.sign({ ...template, origin_server_ts: Date.now() }, version);
    const path = `v2/send_join/${room}/${encodeURIComponent(eventId(join, version))}?omit_members=${String(omit)}`;
    const sent = await who.ask(server.serverName, 'PUT', path, join);
    return at(sent, 'body');
  }

  it('names those servers to one that joins that were in the room before', async () => {
    const roomId = await create('12');
    const first = await sendJoin(peer, roomId, peer.userId('charlie'), true);
    expect(strings(at(first, 'servers_in_room'))).toEqual([server.serverName]);
    const second = await sendJoin(other, roomId, other.userId('derek'), false);
    expect(strings(at(second, 'servers_in_room')).sort()).toEqual([server.serverName, peer.serverName].sort());
    const again = await sendJoin(peer, roomId, peer.userId('elsie'), true);
    expect(strings(at(again, 'servers_in_room')).sort())
      .withContext('somebody else of the server is in the room')
      .toEqual([server.serverName, peer.serverName, other.serverName].sort());
  });

  for (const id of ['11', '12']) {
    describe(`of version ${id}`, () => {
      let room: PeerRoom;
      let createId: string;
      const inRoom = (path: string): string => path.replace('ROOM', encodeURIComponent(room.roomId));
      const ask = async (path: string): Promise<unknown> => at(await peer.ask(server.serverName, 'GET', path), 'body');

      beforeAll(async () => {
        room = await peer.join(server.serverName, await create(id), peer.userId('charlie'));
        const found = room.state.find((pdu) => isCreate(pdu));
        createId = found ? eventId(found, room.version) : '';
      });

      it('has the create event in the auth chain of an event', async () => {
        const answer = await ask(inRoom(`v1/event_auth/ROOM/${encodeURIComponent(room.last)}`));
        expect(ids(at(answer, 'auth_chain'), room.version)).toContain(createId);
        const own = await ask(inRoom(`v1/event_auth/ROOM/${encodeURIComponent(createId)}`));
        expect(at(own, 'auth_chain')).toEqual([]);
      });

      it('has it in the auth chain of a state', async () => {
        const at_ = `?event_id=${encodeURIComponent(room.last)}`;
        expect(strings(at(await ask(inRoom(`v1/state_ids/ROOM${at_}`)), 'auth_chain_ids'))).toContain(createId);
        expect(ids(at(await ask(inRoom(`v1/state/ROOM${at_}`)), 'auth_chain'), room.version)).toContain(createId);
      });

      it('has it in what a server gets that joins', async () => {
        const answer = await sendJoin(other, room.roomId, other.userId('franz'), false);
        expect(ids(at(answer, 'auth_chain'), room.version)).toContain(createId);
      });
    });
  }

  it('refuses an invitation without the create event as M_INVALID_PARAM', async () => {
    const version = roomVersion('12');
    if (!version) throw new Error('Version 12 is not supported.');
    const invitation = peer.sign(
      {
        type: 'm.room.member',
        room_id: '!0000000000000000000000000000000000000000000',
        sender: peer.userId('charlie'),
        state_key: bert.userId,
        content: { membership: 'invite' },
        prev_events: [],
        auth_events: [],
        depth: 3,
        origin_server_ts: Date.now(),
      } as UnsignedPdu,
      version,
    );
    const answer = await peer.ask(
      server.serverName,
      'PUT',
      `v2/invite/${encodeURIComponent(String(invitation.room_id))}/${encodeURIComponent(eventId(invitation, version))}`,
      { room_version: '12', event: invitation, invite_room_state: [] },
    );
    expect([at(answer, 'status'), at(answer, 'errcode')]).toEqual([400, 'M_INVALID_PARAM']);
  });
});

describe('An invitation to a room on another server', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let peer: Peer;
  let anna: TestUser;
  let count = 0;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [server] = federation.servers as [TestHomeserver];
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });
  beforeEach(async () => {
    anna = await server.register(`anna${String((count += 1))}`);
    peer.answer = () => undefined;
  });

  /** A room of the peer: whoever kicks needs 50, which `moderator` has. */
  function makeRoom(id: string): {
    roomId: string;
    version: RoomVersion;
    state: Pdu[];
    member: (sender: string, membership: string, depth: number) => Pdu;
  } {
    const version = roomVersion(id);
    if (!version) throw new Error(`Version ${id} is not supported.`);
    const creator = peer.userId('creator');
    const base = { sender: creator, prev_events: [], auth_events: [], origin_server_ts: Date.now() };
    const own = `!room${String(count)}:${peer.serverName}`;
    const create = peer.sign(
      {
        ...base,
        type: 'm.room.create',
        state_key: '',
        content: { room_version: id },
        depth: 1,
        ...(version.hashRoomIds ? {} : { room_id: own }),
      } as UnsignedPdu,
      version,
    );
    const roomId = version.hashRoomIds ? `!${eventId(create, version).slice(1)}` : own;
    const levels = peer.sign(
      {
        ...base,
        type: 'm.room.power_levels',
        state_key: '',
        room_id: roomId,
        content: { kick: 50, ban: 75, users: { [peer.userId('moderator')]: 50 } },
        depth: 2,
      } as UnsignedPdu,
      version,
    );
    const member = (sender: string, membership: string, depth: number): Pdu =>
      peer.sign(
        {
          ...base,
          type: 'm.room.member',
          room_id: roomId,
          sender,
          state_key: anna.userId,
          content: { membership },
          depth,
        } as UnsignedPdu,
        version,
      );
    return { roomId, version, state: [create, levels], member };
  }

  async function invite(room: ReturnType<typeof makeRoom>, inviter: string, state = room.state): Promise<void> {
    const pdu = room.member(inviter, 'invite', 5);
    const answer = await peer.ask(
      server.serverName,
      'PUT',
      `v2/invite/${encodeURIComponent(room.roomId)}/${encodeURIComponent(eventId(pdu, room.version))}`,
      { room_version: room.version.id, event: pdu, invite_room_state: state },
    );
    if (!answer.ok) throw new Error(JSON.stringify(answer));
  }

  const section = async (name: string, roomId: string): Promise<unknown> =>
    at(await anna.must('GET', 'client/v3/sync'), 'rooms', name, roomId);
  const isOpen = async (roomId: string): Promise<boolean> => (await section('invite', roomId)) !== undefined;

  async function end(room: ReturnType<typeof makeRoom>, sender: string, membership = 'leave'): Promise<unknown> {
    const pdu = room.member(sender, membership, 6);
    return (await peer.send(server.serverName, [pdu]))[eventId(pdu, room.version)];
  }

  for (const id of ['11', '12']) {
    it(`can be taken back by the inviter and by who may kick, and by nobody else (version ${id})`, async () => {
      for (const [who, membership, may] of [
        ['stranger', 'leave', false],
        ['stranger', 'ban', false],
        ['moderator', 'ban', false],
        ['inviter', 'ban', false],
        ['inviter', 'leave', true],
        ['moderator', 'leave', true],
        ...(id === '12' ? ([['creator', 'ban', true]] as const) : []),
      ] as const) {
        count += 1;
        const room = makeRoom(id);
        await invite(room, peer.userId('inviter'));
        const result = await end(room, peer.userId(who), membership);
        expect(at(result, 'errcode'))
          .withContext(`${who} ${membership}`)
          .toBe(may ? undefined : 'M_FORBIDDEN');
        expect(await isOpen(room.roomId))
          .withContext(`${who} ${membership}`)
          .toBe(!may);
      }
    });
  }

  it('is taken back by the inviter alone when nothing is known of the rules', async () => {
    const room = makeRoom('11');
    await invite(room, peer.userId('inviter'), []);
    await end(room, peer.userId('moderator'));
    expect(await isOpen(room.roomId)).toBeTrue();
    await end(room, peer.userId('inviter'));
    expect(await isOpen(room.roomId)).toBeFalse();
  });

  it('tells who may take it back when it goes out', async () => {
    let given: unknown;
    peer.answer = (path, body) => {
      if (path.includes('/invite/')) given = at(body, 'invite_room_state');
      return undefined;
    };
    const roomId = String(at(await anna.must('POST', 'client/v3/createRoom', {}), 'room_id'));
    await anna.ask('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: peer.userId('guest') });
    expect((given as Pdu[]).map((pdu) => pdu.type)).toContain('m.room.power_levels');
  });

  const ends: [string, (room: ReturnType<typeof makeRoom>) => Promise<unknown>][] = [
    ['declined', (room) => anna.must('POST', `client/v3/rooms/${encodeURIComponent(room.roomId)}/leave`, {})],
    ['taken back', (room) => end(room, peer.userId('inviter'))],
  ];
  for (const [how, run] of ends) {
    for (const id of ['2', '11', '12']) {
      it(`that is ${how} ends in /sync with an event that has an id of its own (version ${id})`, async () => {
        const room = makeRoom(id);
        await invite(room, peer.userId('inviter'));
        const first = await anna.must('GET', 'client/v3/sync');
        const own = (at(first, 'rooms', 'invite', room.roomId, 'invite_state', 'events') as unknown[]).at(-1);
        expect(at(own, 'state_key')).toBe(anna.userId);
        const invitationId = String(at(own, 'event_id'));
        expect(invitationId).toMatch(/^\$/);
        await run(room);
        const since = String(at(first, 'next_batch'));
        const told = await eventually(
          () => anna.must('GET', `client/v3/sync?since=${since}`),
          (answer) => at(answer, 'rooms', 'leave', room.roomId) !== undefined,
        );
        const events = at(told, 'rooms', 'leave', room.roomId, 'timeline', 'events') as unknown[];
        expect(events.length).toBe(1);
        expect(at(events[0], 'content', 'membership')).toBe('leave');
        expect(String(at(events[0], 'event_id'))).toMatch(/^\$/);
        expect(at(events[0], 'event_id')).not.toBe(invitationId);
        expect(typeof at(events[0], 'origin_server_ts')).toBe('number');
      });
    }
  }
});

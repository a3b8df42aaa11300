import { canonicalJson } from '../../federation/json.ts';
import { HostedRoom } from '../support/peer-host.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

const LAZY = encodeURIComponent(JSON.stringify({ room: { state: { lazy_load_members: true } } }));

describe('A room that was entered without its members', () => {
  let federation: TestFederation;
  let ours: TestHomeserver;
  let peer: Peer;
  let room: HostedRoom;
  let anna: TestUser;
  let derek: string;
  let release: () => void;
  let count = 0;

  beforeAll(async () => {
    federation = await startHomeservers(1, {});
    [ours] = federation.servers as [TestHomeserver];
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  beforeEach(async () => {
    room = HostedRoom.make(peer, { [peer.userId('derek')]: 100, [peer.userId('elsie')]: 50 });
    derek = room.enter('derek');
    const present = room;
    peer.answer = (path, body) => present.answer(path, body);
    const { promise, resolve } = Promise.withResolvers<void>();
    room.held = promise;
    release = resolve;
    anna = await ours.register(`anna${String((count += 1))}`);
  });
  afterEach(async () => {
    release();
    await members();
  });

  const enter = (user = anna): Promise<unknown> =>
    user.must('POST', `client/v3/join/${encodeURIComponent(room.roomId)}?via=${peer.serverName}`, {});
  const path = (rest: string): string => `client/v3/rooms/${encodeURIComponent(room.roomId)}/${rest}`;
  const sync = (lazy: boolean, since?: unknown, timeoutMs = 0): Promise<unknown> =>
    anna.must(
      'GET',
      `client/v3/sync?timeout=${String(timeoutMs)}${lazy ? `&filter=${LAZY}` : ''}${since === undefined ? '' : `&since=${String(since)}`}`,
    );
  const inRoom = (answer: unknown, ...rest: (string | number)[]): unknown =>
    at(answer, 'rooms', 'join', room.roomId, ...rest);
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
  const memberIds = (events: unknown): unknown[] =>
    list(events)
      .filter((event) => at(event, 'type') === 'm.room.member')
      .map((event) => at(event, 'state_key'));
  const members = async (): Promise<unknown[]> => memberIds(at(await anna.must('GET', path('members')), 'chunk'));
  const say = (sender: string): ReturnType<HostedRoom['say']> =>
    room.say({ type: 'm.room.message', sender, content: { body: 'hello' } });
  const shows = async (id: string): Promise<void> => {
    await eventually(
      async () => (await anna.ask('GET', path(`event/${encodeURIComponent(id)}`))).status,
      (status) => status === 200,
    );
  };
  const hides = async (id: string): Promise<void> => {
    expect((await anna.ask('GET', path(`event/${encodeURIComponent(id)}`))).status).toBe(404);
  };
  /** The state before an event as our server tells it to others. */
  const stateAt = async (id: string): Promise<unknown> => {
    const answer = await peer.ask(
      ours.serverName,
      'GET',
      `v1/state_ids/${encodeURIComponent(room.roomId)}?event_id=${encodeURIComponent(id)}`,
    );
    return answer.ok ? [...list(answer.body['pdu_ids'])].sort() : answer;
  };

  it('is shown at once to those who load members lazily, and to others when it is complete', async () => {
    const before = at(await sync(false), 'next_batch');
    await enter();
    expect(memberIds(inRoom(await sync(true), 'timeline', 'events'))).toEqual([anna.userId]);
    const eager = await sync(false, before);
    expect(inRoom(eager)).toBeUndefined();
    expect(inRoom(await sync(false))).toBeUndefined();

    const waiting = sync(false, at(eager, 'next_batch'), 10_000);
    await new Promise((resolve) => setTimeout(resolve, 100));
    release();
    expect(memberIds(inRoom(await waiting, 'state', 'events')).sort()).toEqual([room.creator, derek].sort());
    expect(await members()).toHaveSize(3);
  });

  it('takes what our users say, and sends it to the servers that are said to be there', async () => {
    await enter();
    await anna.must('PUT', path('send/m.room.message/1'), { body: 'hello' });
    const [sent] = await eventually(
      async () => room.received,
      (pdus) => pdus.length > 0,
    );
    expect(at(sent, 'content', 'body')).toBe('hello');
  });

  it('takes what members say who are not known, and tells who they are', async () => {
    const since = at(await sync(true), 'next_batch');
    await enter();
    const message = say(derek);
    await peer.send(ours.serverName, [message]);
    await shows(room.id(message));
    expect(memberIds(inRoom(await sync(true, since), 'state', 'events'))).toContain(derek);

    const full = [...room.state.values()].sort();
    release();
    await members();
    expect(await stateAt(room.id(message))).toEqual(full);
  });

  it('tells who of the members that are not known types and reads', async () => {
    await enter();
    const typing = { room_id: room.roomId, user_id: derek, typing: true };
    const read = { data: { ts: 1 }, event_ids: [room.last] };
    await peer.ask(ours.serverName, 'PUT', `v1/send/${String(Math.random())}`, {
      origin: peer.serverName,
      origin_server_ts: Date.now(),
      pdus: [],
      edus: [
        { edu_type: 'm.typing', content: typing },
        { edu_type: 'm.receipt', content: { [room.roomId]: { 'm.read': { [derek]: read } } } },
      ],
    });
    const told = list(inRoom(await sync(true), 'ephemeral', 'events'));
    expect(told.map((event) => at(event, 'type')).sort()).toEqual(['m.receipt', 'm.typing']);
  });

  it('is judged anew when it is complete: what rested on a membership of the past is rejected, and the reverse', async () => {
    const elsie = room.enter('elsie');
    const [past, elsieIn] = [room.current('m.room.member', derek), room.current('m.room.member', elsie)];
    const levels = room.current('m.room.power_levels');
    room.say({ type: 'm.room.member', state_key: derek, sender: derek, content: { membership: 'leave' } });
    await enter();
    const kick = room.sayBadly(
      { type: 'm.room.member', state_key: elsie, sender: derek, content: { membership: 'leave' } },
      [levels, past, elsieIn],
    );
    const topic = room.say({ type: 'm.room.test', state_key: '', sender: elsie, content: { of: 'elsie' } }, [
      levels,
      elsieIn,
    ]);
    const message = say(room.creator);
    await peer.send(ours.serverName, [kick, topic, message]);
    await shows(room.id(kick));
    await shows(room.id(message));
    await hides(room.id(topic));

    release();
    await members();
    await hides(room.id(kick));
    expect(await anna.must('GET', path('state/m.room.test/'))).toEqual({ of: 'elsie' });
    expect(await stateAt(room.id(message))).toEqual([...room.state.values()].sort());
  });

  it('is told to servers that turn out to be in it: what was said meanwhile, and the devices of our users', async () => {
    const late = await Peer.start(federation);
    try {
      const frank = late.userId('frank');
      const before = room.events.get(room.last);
      const join = {
        ...before,
        state_key: frank,
        sender: frank,
        depth: (before?.depth ?? 0) + 1,
        prev_events: [room.last],
        auth_events: [room.current('m.room.power_levels'), room.current('m.room.join_rules')],
      } as unknown as Parameters<Peer['sign']>[0];
      room.add(late.sign(join, room.version));
      const heard: unknown[] = [];
      late.answer = (asked, body) => {
        if (!asked.includes('/v1/send/')) return room.answer(asked, body);
        heard.push(...list(at(body, 'pdus')), ...list(at(body, 'edus')));
        return { pdus: {} };
      };
      await enter();
      await anna.must('PUT', path('send/m.room.message/1'), { body: 'hello' });
      await eventually(
        async () => room.received.length,
        (received) => received > 0,
      );
      expect(heard).toEqual([]);
      release();
      const told = await eventually(
        async () => heard,
        (all) => all.length > 1,
      );
      expect(told.map((one) => at(one, 'type') ?? at(one, 'edu_type')).sort()).toEqual([
        'm.device_list_update',
        'm.room.message',
      ]);
    } finally {
      await members();
      await late.close();
    }
  });

  it('lets nobody in until it is complete', async () => {
    await enter();
    const join = `v1/make_join/${encodeURIComponent(room.roomId)}/${encodeURIComponent(peer.userId('frank'))}?ver=12`;
    expect(await peer.ask(ours.serverName, 'GET', join)).toEqual({ ok: false, status: 404, errcode: 'M_NOT_FOUND' });
    release();
    await members();
    expect((await peer.ask(ours.serverName, 'GET', join)).ok).toBeTrue();
  });

  it('is entered by others of ours through the server that knows the members', async () => {
    await enter();
    const bert = await ours.register(`bert${String((count += 1))}`);
    await enter(bert);
    expect(peer.asked.filter((asked) => asked.includes(`send_join/${encodeURIComponent(room.roomId)}`))).toHaveSize(2);
    release();
    expect((await members()).sort()).toEqual([anna.userId, bert.userId, room.creator, derek].sort());
  });

  it('is left and entered again before it is complete', async () => {
    await enter();
    await anna.must('POST', path('leave'), {});
    const leave = await eventually(
      async () => room.received.at(-1),
      (pdu) => pdu?.content['membership'] === 'leave',
    );
    if (leave) room.add(leave);
    await enter();
    release();
    expect((await members()).sort()).toEqual([anna.userId, room.creator, derek].sort());
  });

  it('is completed after a restart', async () => {
    await enter();
    await ours.stop();
    release();
    await ours.start();
    expect(await members()).toHaveSize(3);
  });

  it('is completed through another server when the first gives nonsense', async () => {
    const { answer } = peer;
    let nonsense = 0;
    peer.answer = (asked, body, method) => {
      if (!asked.includes('/state_ids/') || nonsense > 0) return answer(asked, body, method);
      nonsense += 1;
      return {};
    };
    release();
    await enter();
    expect(await members()).toHaveSize(3);
    expect(nonsense).toBe(1);
  });

  it('tells of the devices of its members when they are known', async () => {
    const since = at(await sync(true), 'next_batch');
    await enter();
    release();
    await members();
    expect(list(at(await sync(true, since), 'device_lists', 'changed'))).toContain(derek);
  });
});

describe('A room with members whose keys can not be had', () => {
  it('is repaired when the keys are there', async () => {
    const federation = await startHomeservers(1, {});
    const [ours] = federation.servers as [TestHomeserver];
    const [peer, third] = [await Peer.start(federation), await Peer.start(federation)];
    try {
      const room = HostedRoom.make(peer);
      const gustav = third.userId('gustav');
      const [levels, rules] = [room.current('m.room.power_levels'), room.current('m.room.join_rules')];
      const before = room.events.get(room.last);
      if (!before) throw new Error('The room is empty.');
      const join = third.sign(
        {
          type: 'm.room.member',
          room_id: room.roomId,
          state_key: gustav,
          sender: gustav,
          content: { membership: 'join' },
          depth: before.depth + 1,
          prev_events: [room.last],
          auth_events: [levels, rules],
          origin_server_ts: Date.now(),
        } as unknown as Parameters<Peer['sign']>[0],
        room.version,
      );
      room.add(join);
      peer.answer = (path, body) =>
        room.answer(path.includes('/send_join/') ? path.replace('omit_members=true', '') : path, body);
      third.hidesKeys = true;
      const anna = await ours.register('anna');
      await anna.must('POST', `client/v3/join/${encodeURIComponent(room.roomId)}?via=${peer.serverName}`, {});
      const path = `client/v3/rooms/${encodeURIComponent(room.roomId)}`;
      expect(canonicalJson((await anna.must('GET', `${path}/joined_members`)) as never)).not.toContain(gustav);

      third.hidesKeys = false;
      const found = await eventually(
        async () => canonicalJson((await anna.must('GET', `${path}/joined_members`)) as never),
        (text) => text.includes(gustav),
        25_000,
      );
      expect(found).toContain(gustav);
      const told = await anna.must('GET', 'client/v3/sync?timeout=0');
      const state = at(told, 'rooms', 'join', room.roomId, 'state', 'events') as { state_key?: string }[];
      expect(state.map((event) => event.state_key)).toContain(gustav);
    } finally {
      await Promise.all([peer.close(), third.close()]);
      await federation.close();
    }
  }, 30_000);
});

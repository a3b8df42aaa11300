import { at, clientOf, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';
import { list, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

/** Numbers below 1 that are the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('/sync beside a request that makes a room invisible', () => {
  let server: TestServer;
  let bert: Person;
  let clara: Person;

  beforeAll(async () => {
    server = await startServer();
    [bert, clara] = [await server.person('bert'), await server.person('clara')];
  });
  afterAll(async () => {
    await server.close();
  });

  /** Lets something happen once, when an answer has been begun and rooms are about to be read for it. */
  function meanwhile(run: () => Promise<unknown>): void {
    const { changes } = server.rooms;
    const ofRooms = changes.ofRooms.bind(changes);
    let done = false;
    spyOn(changes, 'ofRooms').and.callFake(async (...asked) => {
      if (!done) {
        done = true;
        await run();
      }
      return ofRooms(...asked);
    });
  }

  const forget = async (room: string): Promise<void> => {
    await clara.leave(room);
    expect((await clara.ask('POST', `/rooms/${room}/forget`, {})).status).toBe(200);
  };

  it('leaves out a room that is left and forgotten while it is computed, and tells the leave next', async () => {
    const [gone, kept] = [
      await bert.createRoom({ preset: 'public_chat' }),
      await bert.createRoom({ preset: 'public_chat' }),
    ];
    await clara.join(gone);
    await clara.join(kept);
    const tag = `/user/${clara.userId}/rooms/${gone}/account_data/org.example.note`;
    await clara.ask('PUT', tag, { text: 'mine' });
    meanwhile(() => forget(gone));
    const answer = await clara.sync();
    expect(at(answer, 'rooms', 'join', kept)).toBeDefined();
    expect(at(answer, 'rooms', 'join', gone)).toBeUndefined();
    const next = await clara.sync({ since: String(answer['next_batch']) });
    const events = list(next, 'rooms', 'leave', gone, 'timeline', 'events');
    expect(events.map((event) => at(event, 'content', 'membership'))).toEqual(['leave']);
  });

  it('goes on with the other rooms when it tells only what is new', async () => {
    const [gone, kept] = [
      await bert.createRoom({ preset: 'public_chat' }),
      await bert.createRoom({ preset: 'public_chat' }),
    ];
    await clara.join(gone);
    await clara.join(kept);
    const since = await clara.now();
    await bert.say(gone, 'nobody reads this');
    await bert.say(kept, 'everybody reads this');
    meanwhile(() => forget(gone));
    const answer = await clara.sync({ since });
    expect(list(answer, 'rooms', 'join', kept, 'timeline', 'events').length).toBe(1);
    expect(at(answer, 'rooms', 'join', gone)).toBeUndefined();
  });

  for (const path of ['/initialSync', '/events']) {
    it(`holds for what older clients ask for: ${path}`, async () => {
      const gone = await bert.createRoom({ preset: 'public_chat' });
      await clara.join(gone);
      const from = await clara.now();
      await bert.say(gone, 'ahoy');
      meanwhile(() => forget(gone));
      const { status, body } = await clara.ask('GET', `${path}?from=${from}&timeout=0`);
      expect(status).toBe(200);
      expect(JSON.stringify(body['rooms'] ?? body['chunk'])).not.toContain(gone);
    });
  }

  it('holds for a search, whose other matches are still told', async () => {
    const [gone, kept] = [
      await bert.createRoom({ preset: 'public_chat' }),
      await bert.createRoom({ preset: 'public_chat' }),
    ];
    await clara.join(gone);
    await clara.join(kept);
    const words = `herring${String(Date.now())}`;
    await bert.say(gone, words);
    await bert.say(kept, words);
    const { history } = server.rooms;
    const visibleToUser = history.visibleToUser.bind(history);
    let done = false;
    spyOn(history, 'visibleToUser').and.callFake(async (...asked) => {
      const visible = await visibleToUser(...asked);
      if (!done) {
        done = true;
        await forget(gone);
      }
      return visible;
    });
    const criteria = { search_term: words, include_state: true, event_context: { before_limit: 1, after_limit: 1 } };
    const { status, body } = await clara.ask('POST', '/search', { search_categories: { room_events: criteria } });
    expect(status).toBe(200);
    const results = list(body, 'search_categories', 'room_events', 'results');
    expect(results.map((result) => at(result, 'result', 'room_id'))).toEqual([kept]);
  });
});

/** What a client takes for its rooms after the answers that it got. */
class View {
  readonly joined = new Set<string>();
  readonly invited = new Set<string>();

  take(answer: unknown): void {
    const of = (section: string): string[] => Object.keys((at(answer, 'rooms', section) ?? {}) as object);
    for (const roomId of of('leave')) {
      this.joined.delete(roomId);
      this.invited.delete(roomId);
    }
    for (const roomId of of('invite')) {
      this.joined.delete(roomId);
      this.invited.add(roomId);
    }
    for (const roomId of of('join')) {
      this.invited.delete(roomId);
      this.joined.add(roomId);
    }
  }
}

describe('whatever a user does beside a running sync', () => {
  let federation: TestFederation;
  let url: string;

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_PASSWORD_COST: '10' });
    url = federation.servers[0]?.url ?? '';
  });
  afterAll(async () => {
    await federation.close();
  });

  const encode = encodeURIComponent;

  async function another(user: TestUser, localpart: string): Promise<{ token: string; deviceId: string }> {
    const { body } = await clientOf(url).ask('POST', 'client/v3/login', {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: localpart },
      password: 'a long enough password',
    });
    const token = at(body, 'access_token');
    const deviceId = at(body, 'device_id');
    if (typeof token !== 'string' || typeof deviceId !== 'string') throw new Error(`${user.userId} has no new device`);
    return { token, deviceId };
  }

  for (const seed of [1, 2, 3]) {
    it(`nothing that tells of many rooms fails, and syncs end at the truth (seed ${String(seed)})`, async () => {
      const random = randomOf(seed);
      const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
      const [anna, bert] = [`anna${String(seed)}`, `bert${String(seed)}`];
      const [her, him] = [await clientOf(url).register(anna), await clientOf(url).register(bert)];
      const rooms: string[] = [];
      for (let count = 0; count < 6; count += 1) {
        const created = await him.must('POST', 'client/v3/createRoom', {
          preset: 'public_chat',
          name: `harbour ${String(count)}`,
          ...(count === 0 ? { creation_content: { type: 'm.space' } } : {}),
        });
        rooms.push(String(at(created, 'room_id')));
      }
      const space = rooms[0] ?? '';
      for (const child of rooms.slice(1)) {
        await him.must('PUT', `client/v3/rooms/${encode(space)}/state/m.space.child/${encode(child)}`, { via: ['x'] });
      }
      for (const room of rooms.slice(0, 4)) await her.must('POST', `client/v3/join/${encode(room)}`, {});

      /** What may be refused by the rules of the room is no failure here. */
      const room = (): string => pick(rooms.slice(1));
      const hers = (path: string, body: object = {}, method = 'POST'): Promise<unknown> =>
        her.ask(method, `client/v3/${path}`, body);
      const his = (path: string, body: object = {}): Promise<unknown> => him.ask('POST', `client/v3/${path}`, body);
      const acts: readonly (() => Promise<unknown>)[] = [
        () => hers(`join/${encode(room())}`),
        () => hers(`rooms/${encode(room())}/leave`),
        async () => {
          const one = encode(room());
          await hers(`rooms/${one}/leave`);
          await hers(`rooms/${one}/forget`);
        },
        async () => {
          const one = encode(room());
          await hers(`rooms/${one}/leave`);
          await hers(`rooms/${one}/forget`);
        },
        () => hers(`rooms/${encode(room())}/typing/${encode(her.userId)}`, { typing: true, timeout: 100 }, 'PUT'),
        () => hers(`user/${encode(her.userId)}/rooms/${encode(room())}/tags/m.favourite`, { order: 0.5 }, 'PUT'),
        () =>
          hers(
            `user/${encode(her.userId)}/account_data/m.ignored_user_list`,
            { ignored_users: random() < 0.5 ? { [him.userId]: {} } : {} },
            'PUT',
          ),
        () => his(`rooms/${encode(room())}/kick`, { user_id: her.userId }),
        () => his(`rooms/${encode(room())}/ban`, { user_id: her.userId }),
        () => his(`rooms/${encode(room())}/unban`, { user_id: her.userId }),
        () => his(`rooms/${encode(room())}/invite`, { user_id: her.userId }),
        () => his(`rooms/${encode(room())}/upgrade`, { new_version: '11' }),
        () =>
          him.ask('PUT', `client/v3/rooms/${encode(room())}/send/m.room.message/${String(random())}`, {
            msgtype: 'm.text',
            body: 'herring',
          }),
        async () => {
          const { token, deviceId } = await another(her, anna);
          const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: anna } };
          await Promise.all([
            clientOf(url).ask('GET', 'client/v3/sync?timeout=50', undefined, token),
            hers(`devices/${deviceId}`, { auth: { ...auth, password: 'a long enough password' } }, 'DELETE'),
          ]);
        },
      ];

      const view = new View();
      let since = '';
      const follow = async (timeout: number): Promise<number> => {
        const from = since === '' ? '' : `&since=${since}`;
        const { status, body } = await her.ask('GET', `client/v3/sync?timeout=${String(timeout)}${from}`);
        if (status === 200) {
          view.take(body);
          since = String(at(body, 'next_batch'));
        }
        return status;
      };
      await follow(0);
      const start = since;
      const filters = [
        { room: { include_leave: true, state: { lazy_load_members: true } } },
        { event_format: 'federation', room: { timeline: { limit: 1, types: ['m.room.member'] } } },
        { room: { timeline: { limit: 3 }, ephemeral: { not_types: ['*'] } } },
      ];
      const search = { search_term: 'herring', include_state: true, event_context: {} };
      const looks: readonly [string, () => Promise<{ status: number }>][] = [
        ['first sync', () => her.ask('GET', 'client/v3/sync')],
        ['full state', () => her.ask('GET', `client/v3/sync?since=${start}&full_state=true`)],
        ['filter', () => her.ask('GET', `client/v3/sync?filter=${encode(JSON.stringify(pick(filters)))}`)],
        [
          'since and filter',
          () => her.ask('GET', `client/v3/sync?since=${start}&filter=${encode(JSON.stringify(pick(filters)))}`),
        ],
        ['initialSync', () => her.ask('GET', 'client/v3/initialSync?limit=3&archived=true')],
        ['events', () => her.ask('GET', `client/v3/events?from=${start}&timeout=30`)],
        ['search', () => her.ask('POST', 'client/v3/search', { search_categories: { room_events: search } })],
        ['joined rooms', () => her.ask('GET', 'client/v3/joined_rooms')],
        ['hierarchy', () => her.ask('GET', `client/v1/rooms/${encode(space)}/hierarchy`)],
        ['notifications', () => her.ask('GET', 'client/v3/notifications')],
        ['public rooms', () => her.ask('GET', 'client/v3/publicRooms')],
        ['key changes', () => her.ask('GET', `client/v3/keys/changes?from=${start}&to=${since}`)],
      ];
      const failures: string[] = [];
      const look = async ([name, ask]: (typeof looks)[number]): Promise<void> => {
        const { status } = await ask();
        if (status !== 200) failures.push(`${name}: ${String(status)}`);
      };
      for (let step = 0; step < 10; step += 1) {
        await Promise.all([
          ...Array.from({ length: 2 }, () => pick(acts)()),
          ...Array.from({ length: 4 }, () => look(pick(looks))),
          look(['follow', async () => ({ status: await follow(20) })]),
        ]);
      }
      expect(failures).toEqual([]);

      await follow(0);
      await follow(0);
      const joined = at(await her.must('GET', 'client/v3/joined_rooms'), 'joined_rooms') as string[];
      expect([...view.joined].sort()).toEqual([...joined].sort());
      const first = new View();
      const ignored = { ignored_users: {} };
      await hers(`user/${encode(her.userId)}/account_data/m.ignored_user_list`, ignored, 'PUT');
      first.take(await her.must('GET', 'client/v3/sync'));
      expect([...first.joined].sort()).toEqual([...joined].sort());
    }, 120_000);
  }
});

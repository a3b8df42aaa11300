import type { JsonObject } from '../../federation/json.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { DelayedEvents } from '../../homeserver/features/delayed-events/delayed-events.ts';
import { at, each, startServer } from './support.ts';
import type { Answer, Person, TestServer } from './support.ts';

describe('Delayed events', () => {
  const PATH = '/unstable/org.matrix.msc4140/delayed_events';
  const TYPE = 'org.example.call';
  let server: TestServer;
  let bert: Person;
  let clara: Person;
  let roomId: string;
  let people = 0;

  beforeAll(async () => {
    server = await startServer('luebeck.example');
  });

  beforeEach(async () => {
    people += 1;
    const name = (first: string): Promise<Person> => server.person(`${first}-${String(people)}`);
    [bert, clara] = await Promise.all([name('bert'), name('clara')]);
    roomId = await bert.createRoom({
      preset: 'public_chat',
      power_level_content_override: { events: { [TYPE]: 0 } },
    });
    await clara.join(roomId);
  });

  afterAll(async () => {
    await server.close();
  });

  const state = (key: string): string => `/v3/rooms/${encodeURIComponent(roomId)}/state/${TYPE}/${key}`;
  const put = (person: Person, key: string, delay: number | string, content: JsonObject = {}): Promise<Answer> =>
    person.ask('PUT', `${state(key)}?org.matrix.msc4140.delay=${delay}`, content);
  const waiting = async (person: Person): Promise<unknown[]> =>
    each((await person.ask('GET', PATH)).body, 'delayed_events', 'delay_id');
  /** Waits for something that the server does by itself. */
  async function until(what: () => Promise<boolean>): Promise<void> {
    while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  /** As somebody without a session. */
  async function act(path: string, body?: object): Promise<number> {
    const response = await fetch(`${server.url}/_matrix/client${PATH}/${path}`, {
      method: 'POST',
      body: JSON.stringify(body ?? {}),
    });
    await response.text();
    return response.status;
  }

  it('are sent when their time has come, and are seen by their sender until then', async () => {
    const { body } = await put(bert, 'a', 150, { left: true });
    const { body: list } = await bert.ask('GET', PATH);
    expect(list['delayed_events']).toEqual([
      {
        delay_id: body['delay_id'],
        room_id: roomId,
        type: TYPE,
        state_key: 'a',
        delay: 150,
        running_since: jasmine.any(Number),
        content: { left: true },
      },
    ]);
    expect(await waiting(clara)).toEqual([]);
    expect((await bert.ask('GET', state('a'))).status).toBe(404);
    await until(async () => (await waiting(bert)).length === 0);
    expect((await bert.ask('GET', state('a'))).body).toEqual({ left: true });
    expect((await fetch(`${server.url}/_matrix/client${PATH}`)).status).toBe(401);
  });

  it('are made once for each transaction, and sent in the order of their times', async () => {
    const path = (id: string, delay: number) =>
      `/v3/rooms/${encodeURIComponent(roomId)}/send/${TYPE}/${id}?org.matrix.msc4140.delay=${delay}`;
    const first = await bert.ask('PUT', path('one', 200), { count: 2 });
    expect((await bert.ask('PUT', path('one', 200))).body).toEqual(first.body);
    await bert.ask('PUT', path('two', 100), { count: 1 });
    expect((await waiting(bert)).length).toBe(2);
    await until(async () => (await waiting(bert)).length === 0);
    const { body } = await clara.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/messages?limit=2`);
    expect(each(body, 'chunk', 'content', 'count')).toEqual([2, 1]);
  });

  it('are cancelled, sent at once or put off by whoever knows their id, in either form of the request', async () => {
    const made: string[] = [];
    for (const key of ['a', 'b', 'c', 'd']) made.push(String((await put(bert, key, 100_000)).body['delay_id']));
    const [a, b, c, d] = made;
    expect(await act(`${a}/cancel`)).toBe(200);
    expect(await act(`${b ?? ''}`, { action: 'cancel' })).toBe(200);
    expect(await act(`${c}/send`)).toBe(200);
    const before = at((await bert.ask('GET', PATH)).body, 'delayed_events', 0, 'running_since');
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await act(`${d}/restart`)).toBe(200);
    const after = at((await bert.ask('GET', PATH)).body, 'delayed_events', 0, 'running_since');
    expect(Number(after)).toBeGreaterThan(Number(before));
    expect(await waiting(bert)).toEqual([d]);
    expect((await bert.ask('GET', state('a'))).status).toBe(404);
    expect((await bert.ask('GET', state('c'))).status).toBe(200);
    for (const wrong of [`${a}/cancel`, 'abc/send', 'abc/restart', 'abc/oops']) expect(await act(wrong)).toBe(404);
    for (const body of [{}, { action: 'oops' }, []]) expect(await act('abc', body)).toBe(400);
    await act(`${d}/cancel`);
  });

  it('give way to the same state by somebody else, not by their own sender', async () => {
    await put(bert, 'a', 100_000);
    await put(bert, 'b', 100_000);
    await bert.ask('PUT', state('a'), { by: 'bert' });
    await clara.ask('PUT', state('b'), { by: 'clara' });
    await until(async () => (await waiting(bert)).length === 1);
    const { body } = await bert.ask('GET', PATH);
    expect(each(body, 'delayed_events', 'state_key')).toEqual(['a']);
    await act(`${String(at(body, 'delayed_events', 0, 'delay_id'))}/cancel`);
  });

  it('are judged by the power levels of when they are sent', async () => {
    const { body } = await put(clara, 'a', 100_000);
    const levels = `/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.power_levels/`;
    await bert.ask('PUT', levels, { events: { [TYPE]: 50 } });
    expect(await act(`${String(body['delay_id'])}/send`)).toBe(403);
    expect(await waiting(clara)).toEqual([]);
  });

  it('are limited in number and time, and are for members', async () => {
    const dora = await server.person('dora');
    expect((await put(dora, 'a', 1000)).status).toBe(403);
    const long = await put(bert, 'a', 86_400_001);
    expect([long.status, long.body['org.matrix.msc4140.errcode']]).toEqual([400, 'M_MAX_DELAY_EXCEEDED']);
    expect(long.body['org.matrix.msc4140.max_delay']).toBe(86_400_000);
    for (const delay of ['-1', '1.5', 'x', '']) expect((await put(bert, 'a', delay)).status).toBe(400);
    for (let count = 0; count < 100; count++) await put(clara, String(count), 100_000);
    const many = await put(clara, 'more', 100_000);
    expect([many.status, many.body['org.matrix.msc4140.errcode']]).toEqual([400, 'M_MAX_DELAYED_EVENTS_EXCEEDED']);
  });

  it('that became due while the server was down are sent when it starts', async () => {
    const { body } = await put(bert, 'late', 80_000_000, { late: true });
    const log = createLog('silent', { write: () => undefined });
    const later = new DelayedEvents({ db: server.db, rooms: server.rooms, log, now: () => Date.now() + 80_000_001 });
    await later.start();
    await later.close();
    expect(await waiting(bert)).not.toContain(body['delay_id']);
    expect((await clara.ask('GET', state('late'))).body).toEqual({ late: true });
    expect(server.logged.join('')).not.toContain('"late"');
  });
});

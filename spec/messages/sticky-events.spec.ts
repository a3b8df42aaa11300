import type { JsonObject } from '../../federation/json.ts';
import { at, each, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('Sticky events', () => {
  let luebeck: TestServer;
  let hamburg: TestServer;
  let bert: Person;
  let clara: Person;
  let dora: Person;
  let roomId: string;
  let counter = 0;

  beforeAll(async () => {
    [luebeck, hamburg] = await Promise.all([startServer('luebeck.example'), startServer('hamburg.example')]);
    [bert, clara, dora] = await Promise.all([luebeck.person('bert'), luebeck.person('clara'), hamburg.person('dora')]);
  });

  beforeEach(async () => {
    roomId = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(roomId);
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
  });

  const send = async (query: string, content: JsonObject = { body: 'sticky' }, path?: string) => {
    counter += 1;
    const end = path ?? `send/m.room.message/s${String(counter)}`;
    return bert.ask('PUT', `/v3/rooms/${encodeURIComponent(roomId)}/${end}?${query}`, content);
  };
  const STICKY = 'org.matrix.msc4354.sticky_duration_ms=60000';
  const talk = async (): Promise<void> => {
    for (let count = 0; count < 12; count++) await bert.say(roomId, 'x');
  };
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 10 } } }));
  const sync = async (person: Person, since?: unknown): Promise<Readonly<Record<string, unknown>>> => {
    const query = since === undefined ? '' : `&since=${String(since)}`;
    return (await person.ask('GET', `/v3/sync?filter=${filter}${query}`)).body;
  };
  const sticky = (body: unknown): unknown[] =>
    each(at(body, 'rooms', 'join', roomId, 'msc4354_sticky'), 'events', 'event_id');
  const timeline = (body: unknown): unknown[] =>
    each(at(body, 'rooms', 'join', roomId, 'timeline'), 'events', 'event_id');

  it('are told in the timeline, and beside it once it has left them behind', async () => {
    const { next_batch: before } = await sync(clara);
    const { body } = await send(STICKY);
    const near = await sync(clara, before);
    expect([timeline(near), sticky(near)]).toEqual([[body['event_id']], []]);
    const event = at(near, 'rooms', 'join', roomId, 'timeline', 'events', 0);
    expect(at(event, 'msc4354_sticky')).toEqual({ duration_ms: 60_000 });
    expect(Number(at(event, 'unsigned', 'msc4354_sticky_duration_ttl_ms'))).toBeGreaterThan(50_000);
    await talk();
    for (const late of [await sync(clara), await sync(clara, before)]) {
      expect(timeline(late)).not.toContain(body['event_id']);
      expect(sticky(late)).toEqual([body['event_id']]);
    }
    expect(sticky(await sync(clara, near['next_batch']))).toEqual([]);
  });

  it('can be state, of which the same is said again, and can be delayed', async () => {
    const first = await send('msc4354_stick_duration_ms=60000', { a: 1 }, 'state/org.example/');
    const again = await send('msc4354_stick_duration_ms=60000', { a: 1 }, 'state/org.example/');
    expect(again.body['event_id']).not.toBe(first.body['event_id']);
    const delayed = await send(`${STICKY}&org.matrix.msc4140.delay=50000`, { body: 'later' });
    const path = `/unstable/org.matrix.msc4140/delayed_events/${String(delayed.body['delay_id'])}/send`;
    expect((await bert.ask('POST', path, {})).status).toBe(200);
    await talk();
    const told = at(await sync(clara), 'rooms', 'join', roomId, 'msc4354_sticky');
    expect(each(told, 'events', 'content', 'a')).toEqual([1, 1, undefined]);
    expect(each(told, 'events', 'content', 'body')).toContain('later');
  });

  it('last no longer than they say, are no longer told when taken back, and have a bound', async () => {
    const short = await send('org.matrix.msc4354.sticky_duration_ms=1');
    const gone = await send(STICKY);
    const id = encodeURIComponent(String(gone.body['event_id']));
    await bert.ask('PUT', `/v3/rooms/${encodeURIComponent(roomId)}/redact/${id}/1`, {});
    await talk();
    expect(short.status).toBe(200);
    expect(sticky(await sync(clara))).toEqual([]);
    for (const wrong of ['3600001', '-1', 'x', '']) {
      expect((await send(`org.matrix.msc4354.sticky_duration_ms=${wrong}`)).status).toBe(400);
    }
  });

  it('reach a server that comes in later', async () => {
    const { body } = await send(STICKY);
    await talk();
    await dora.ask('POST', `/v3/join/${encodeURIComponent(roomId)}?via=luebeck.example`, {});
    const id = String(body['event_id']);
    while ((await hamburg.rooms.event(id)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    await hamburg.rooms.whole(roomId);
    const told = await sync(dora);
    expect([...timeline(told), ...sticky(told)]).toContain(id);
    // The rest of the history is no news.
    expect(each(at(told, 'rooms', 'join', roomId, 'timeline'), 'events', 'content', 'body')).not.toContain('x');
    const page = await dora.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=100`);
    expect(each(page.body, 'chunk', 'content', 'body').filter((text) => text === 'x').length).toBe(12);
  });
});

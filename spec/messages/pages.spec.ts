import { each, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('Pages of a room of another server', () => {
  let luebeck: TestServer;
  let hamburg: TestServer;
  let bert: Person;
  let dora: Person;

  beforeAll(async () => {
    [luebeck, hamburg] = await Promise.all([startServer('luebeck.example'), startServer('hamburg.example')]);
    [bert, dora] = await Promise.all([luebeck.person('bert'), hamburg.person('dora')]);
  });

  afterAll(async () => {
    await Promise.all([luebeck.close(), hamburg.close()]);
  });

  async function say(roomId: string, count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let number = 0; number < count; number++) ids.push(await bert.say(roomId, `message ${String(number)}`));
    return ids;
  }

  async function enter(roomId: string): Promise<void> {
    const { status } = await dora.ask('POST', `/v3/join/${encodeURIComponent(roomId)}?via=luebeck.example`, {});
    expect(status).toBe(200);
  }

  /** Goes through the whole room. @returns the ids of messages, and the last token */
  async function walk(roomId: string, dir: 'b' | 'f', limit: number, from?: string): Promise<[string[], string]> {
    const ids: string[] = [];
    let token = from;
    for (;;) {
      const query = new URLSearchParams({ dir, limit: String(limit), ...(token === undefined ? {} : { from: token }) });
      const { body } = await dora.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/messages?${query.toString()}`);
      const chunk = body['chunk'] as { type: string; event_id: string }[];
      ids.push(...chunk.filter(({ type }) => type === 'm.room.message').map((event) => event.event_id));
      if (body['end'] === undefined) return [ids, token ?? ''];
      token = String(body['end']);
    }
  }

  it('show everything once and in order, from the end to the beginning and back again', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat' });
    const ids = await say(roomId, 30);
    await enter(roomId);
    for (const limit of [3, 50]) {
      const [back, start] = await walk(roomId, 'b', limit);
      expect(back).toEqual(ids.toReversed());
      const [forward] = await walk(roomId, 'f', limit, start);
      expect(forward).toEqual(ids);
    }
  });

  it('show what was said while nobody of ours was in the room, in its place', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat' });
    const before = await say(roomId, 5);
    await enter(roomId);
    await dora.ask('POST', `/v3/rooms/${encodeURIComponent(roomId)}/leave`, {});
    const meanwhile = await say(roomId, 25);
    await enter(roomId);
    const after = await say(roomId, 3);
    const lastId = after.at(-1) ?? '';
    while ((await hamburg.rooms.event(lastId)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    const all = [...before, ...meanwhile, ...after];
    for (const limit of [7, 50, 3]) {
      const [back, start] = await walk(roomId, 'b', limit);
      expect(back).toEqual(all.toReversed());
      const [forward] = await walk(roomId, 'f', limit, start);
      expect(forward).toEqual(all);
    }
    const first = await dora.ask(
      'GET',
      `/v3/rooms/${encodeURIComponent(roomId)}/context/${meanwhile[0] ?? ''}?limit=4`,
    );
    expect(each(first.body, 'events_after', 'event_id')).toEqual([meanwhile[1], meanwhile[2]]);
  });
});

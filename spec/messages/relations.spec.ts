import type { JsonObject } from '../../federation/json.ts';
import { at, each, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('What belongs to a message', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer('luebeck.example');
  });

  afterAll(async () => {
    await server.close();
  });

  describe('Events that refer to others', () => {
    let bert: Person;
    let clara: Person;
    let roomId: string;
    let root: string;

    const refer = (parentId: string, relType: string, more: object = {}) => ({
      msgtype: 'm.text',
      body: 'text',
      'm.relates_to': { event_id: parentId, rel_type: relType },
      ...more,
    });
    const relations = (person: Person, parentId: string, end = '') =>
      person.ask('GET', `/v1/rooms/${encodeURIComponent(roomId)}/relations/${encodeURIComponent(parentId)}${end}`);
    const event = async (person: Person, id: string): Promise<unknown> =>
      (await person.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(id)}`)).body;
    const redact = (person: Person, id: string) =>
      person.ask('PUT', `/v3/rooms/${encodeURIComponent(roomId)}/redact/${encodeURIComponent(id)}/r${id}`, {});

    beforeAll(async () => {
      [bert, clara] = await Promise.all([server.person('bert'), server.person('clara')]);
    });

    beforeEach(async () => {
      roomId = await bert.createRoom({ preset: 'public_chat' });
      await clara.join(roomId);
      root = await bert.say(roomId, 'root');
    });

    it('are found by what they refer to, by kind and by type, without those that were taken back', async () => {
      const reply = await clara.say(roomId, refer(root, 'm.thread'));
      const dummy = await clara.say(roomId, refer(root, 'm.thread'), 'm.dummy');
      const edit = await bert.say(roomId, refer(root, 'm.replace', { 'm.new_content': { body: 'new' } }));
      const gone = await clara.say(roomId, refer(root, 'm.thread'));
      await redact(clara, gone);
      expect(each((await relations(clara, root)).body, 'chunk', 'event_id')).toEqual([edit, dummy, reply]);
      expect(each((await relations(clara, root, '/m.thread')).body, 'chunk', 'event_id')).toEqual([dummy, reply]);
      const typed = await relations(clara, root, '/m.thread/m.room.message');
      expect(each(typed.body, 'chunk', 'event_id')).toEqual([reply]);
      expect((await relations(clara, '$unknown')).status).toBe(404);
      const dora = await server.person('dora');
      expect((await relations(dora, root)).status).toBe(404);
    });

    it('come in pages in both directions, and from a place in the stream', async () => {
      const ids: string[] = [];
      for (let count = 0; count < 5; count++) ids.push(await clara.say(roomId, refer(root, 'm.thread')));
      const since = `s${String(server.rooms.position)}`;
      for (let count = 0; count < 3; count++) ids.push(await clara.say(roomId, refer(root, 'm.thread')));
      const first = await relations(bert, root, '?limit=3');
      expect(each(first.body, 'chunk', 'event_id')).toEqual([ids[7], ids[6], ids[5]]);
      const second = await relations(bert, root, `?limit=5&from=${String(first.body['next_batch'])}`);
      expect(each(second.body, 'chunk', 'event_id')).toEqual([ids[4], ids[3], ids[2], ids[1], ids[0]]);
      expect(second.body['next_batch']).toBeUndefined();
      const forward = await relations(bert, root, '?limit=2&dir=f');
      expect(each(forward.body, 'chunk', 'event_id')).toEqual([ids[0], ids[1]]);
      const next = await relations(bert, root, `?limit=2&dir=f&from=${String(forward.body['next_batch'])}`);
      expect(each(next.body, 'chunk', 'event_id')).toEqual([ids[2], ids[3]]);
      const fresh = await relations(bert, root, `?limit=2&dir=f&from=${since}`);
      expect(each(fresh.body, 'chunk', 'event_id')).toEqual([ids[5], ids[6]]);
      const old = await relations(bert, root, `?limit=1&from=${since}`);
      expect(each(old.body, 'chunk', 'event_id')).toEqual([ids[4]]);
      for (const query of ['from=nonsense', 'dir=x', 'limit=-1']) {
        expect((await relations(bert, root, `?${query}`)).status).toBe(400);
      }
    });

    it('are followed over several steps when that is asked for', async () => {
      const reply = await clara.say(roomId, refer(root, 'm.thread'));
      const reaction = await bert.say(roomId, refer(reply, 'm.annotation'), 'm.reaction');
      expect(each((await relations(bert, root)).body, 'chunk', 'event_id')).toEqual([reply]);
      const all = await relations(bert, root, '?recurse=true');
      expect(each(all.body, 'chunk', 'event_id')).toEqual([reaction, reply]);
      expect(all.body['recursion_depth']).toBe(3);
    });

    it('stand with what they refer to: the edit that holds, the thread, the references, no reactions', async () => {
      await bert.say(roomId, refer(root, 'm.replace', { 'm.new_content': { body: 'first' } }));
      const edit = await bert.say(roomId, refer(root, 'm.replace', { 'm.new_content': { body: 'second' } }));
      await clara.say(roomId, refer(root, 'm.replace', { 'm.new_content': { body: 'not hers' } }));
      await bert.say(roomId, refer(root, 'm.replace'));
      await clara.say(roomId, refer(root, 'm.thread'));
      const latest = await clara.say(roomId, refer(root, 'm.thread'));
      const latestEdit = await clara.say(roomId, refer(latest, 'm.replace', { 'm.new_content': { body: 'better' } }));
      const reference = await clara.say(roomId, refer(root, 'm.reference'));
      await clara.say(roomId, refer(root, 'm.annotation'), 'm.reaction');
      const told = at(await event(bert, root), 'unsigned', 'm.relations');
      expect(Object.keys(told as object).sort()).toEqual(['m.reference', 'm.replace', 'm.thread']);
      expect(at(told, 'm.replace', 'event_id')).toBe(edit);
      expect(at(told, 'm.replace', 'content', 'm.new_content', 'body')).toBe('second');
      expect(at(told, 'm.reference')).toEqual({ chunk: [{ event_id: reference }] });
      expect(at(told, 'm.thread', 'count')).toBe(2);
      expect(at(told, 'm.thread', 'latest_event', 'event_id')).toBe(latest);
      const inner = at(told, 'm.thread', 'latest_event', 'unsigned', 'm.relations', 'm.replace', 'event_id');
      expect(inner).toBe(latestEdit);
      expect(at(told, 'm.thread', 'current_user_participated')).toBe(true);
      await redact(bert, edit);
      const after = at(await event(clara, root), 'unsigned', 'm.relations', 'm.replace', 'content', 'm.new_content');
      expect(after).toEqual({ body: 'first' });
      const page = await clara.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/messages?limit=50`);
      const shown = (page.body['chunk'] as { event_id: string }[]).find((entry) => entry.event_id === root);
      expect(at(shown, 'unsigned', 'm.relations', 'm.thread', 'count')).toBe(2);
    });

    it('that are malformed, or are state, refer to nothing', async () => {
      for (const relation of [{ event_id: root }, { event_id: 7, rel_type: 'm.thread' }, 'x', null, []]) {
        await bert.say(roomId, { body: 'x', 'm.relates_to': relation as never });
      }
      const path = `/v3/rooms/${encodeURIComponent(roomId)}/state/org.example/`;
      await bert.ask('PUT', path, refer(root, 'm.thread'));
      expect((await relations(bert, root)).body['chunk']).toEqual([]);
    });

    it('make threads, the one with the last word first, and those that somebody took part in', async () => {
      const other = await clara.say(roomId, 'second root');
      const path = `/v1/rooms/${encodeURIComponent(roomId)}/threads`;
      await clara.say(roomId, refer(root, 'm.thread'));
      const late = await clara.say(roomId, refer(other, 'm.thread'));
      const threads = async (query = ''): Promise<[unknown[], unknown]> => {
        const { body } = await bert.ask('GET', path + query);
        return [each(body, 'chunk', 'event_id'), body['next_batch']];
      };
      expect((await threads())[0]).toEqual([other, root]);
      const { body } = await bert.ask('GET', path);
      expect(at(body, 'chunk', 0, 'unsigned', 'm.relations', 'm.thread', 'latest_event', 'event_id')).toBe(late);
      await clara.say(roomId, refer(root, 'm.thread'));
      expect((await threads())[0]).toEqual([root, other]);
      expect((await threads('?include=participated'))[0]).toEqual([root]);
      const [first, token] = await threads('?limit=1');
      expect([first, await threads(`?limit=1&from=${String(token)}`)]).toEqual([[root], [[other], undefined]]);
      expect((await bert.ask('GET', `${path}?include=none`)).status).toBe(400);
    });
  });

  describe('A page of messages', () => {
    let bert: Person;
    let clara: Person;
    let roomId: string;
    let ids: Record<'root' | 'reply' | 'reference' | 'picture', string>;

    beforeAll(async () => {
      [bert, clara] = await Promise.all([server.person('bert'), server.person('clara')]);
      roomId = await bert.createRoom({ preset: 'public_chat' });
      await clara.join(roomId);
      const root = await bert.say(roomId, 'root');
      const to = (relType: string) => ({ body: 'x', 'm.relates_to': { event_id: root, rel_type: relType } });
      ids = {
        root,
        reply: await clara.say(roomId, to('m.thread')),
        reference: await bert.say(roomId, to('m.reference')),
        picture: await bert.say(roomId, { body: 'quay.png', msgtype: 'm.image', url: 'mxc://luebeck.example/a' }),
      };
    });

    const page = (query: Record<string, string>) => {
      const search = new URLSearchParams(query).toString();
      return clara.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/messages?${search}`);
    };
    const filtered = async (filter: object): Promise<unknown[]> =>
      each((await page({ dir: 'f', limit: '50', filter: JSON.stringify(filter) })).body, 'chunk', 'event_id');

    it('holds what its filter lets pass', async () => {
      expect(await filtered({ types: ['m.room.mess*'], senders: [clara.userId] })).toEqual([ids.reply]);
      expect(await filtered({ contains_url: true })).toEqual([ids.picture]);
      expect(await filtered({ types: ['m.room.message'], not_senders: [bert.userId] })).toEqual([ids.reply]);
      expect(await filtered({ not_types: ['*'] })).toEqual([]);
      expect(await filtered({ rooms: ['!other:luebeck.example'] })).toEqual([]);
      expect(await filtered({ related_by_rel_types: ['m.thread'] })).toEqual([ids.root]);
      expect(await filtered({ related_by_rel_types: ['m.thread'], related_by_senders: [bert.userId] })).toEqual([]);
      expect(await filtered({ 'org.matrix.msc3874.rel_types': ['m.thread', 'm.reference'] })).toEqual([
        ids.reply,
        ids.reference,
      ]);
      expect(await filtered({ types: ['m.room.message'], not_rel_types: ['m.thread'] })).toEqual([
        ids.root,
        ids.reference,
        ids.picture,
      ]);
      for (const filter of ['{', '[]', '{"types":7}']) expect((await page({ filter })).status).toBe(400);
    });

    it('is followed by the next one in either direction, by its token or that of a sync, up to an end', async () => {
      const messages = JSON.stringify({ types: ['m.room.message'] });
      const first = await page({ limit: '2', filter: messages });
      expect(each(first.body, 'chunk', 'event_id')).toEqual([ids.picture, ids.reference]);
      const second = await page({ limit: '2', filter: messages, from: String(first.body['end']) });
      expect(each(second.body, 'chunk', 'event_id')).toEqual([ids.reply, ids.root]);
      const back = await page({ limit: '2', filter: messages, dir: 'f', from: String(second.body['end']) });
      expect(each(back.body, 'chunk', 'event_id')).toEqual([ids.root, ids.reply]);
      const upTo = await page({ limit: '9', filter: messages, dir: 'f', from: 's0', to: String(back.body['end']) });
      expect(each(upTo.body, 'chunk', 'event_id')).toEqual([ids.root, ids.reply]);
      expect((await page({ dir: 'f', from: `s${String(server.rooms.position)}` })).body['chunk']).toEqual([]);
      expect((await page({ from: 'nonsense' })).status).toBe(400);
    });

    it('brings the memberships of those who speak when members are loaded lazily', async () => {
      const filter = JSON.stringify({ lazy_load_members: true, types: ['m.room.message'] });
      const { body } = await page({ limit: '3', filter });
      expect(each(body, 'state', 'state_key').sort()).toEqual([bert.userId, clara.userId]);
    });
  });

  describe('A thread', () => {
    let bert: Person;
    let roomId: string;
    let root: string;

    beforeAll(async () => {
      bert = await server.person('bert');
    });

    beforeEach(async () => {
      roomId = await bert.createRoom();
      root = await bert.say(roomId, 'root');
    });

    const subscription = (method: string, body?: JsonObject, of = root) =>
      bert.ask(
        method,
        `/unstable/io.element.msc4306/rooms/${encodeURIComponent(roomId)}/thread/${encodeURIComponent(of)}/subscription`,
        body,
      );
    const reply = (to = root) => bert.say(roomId, { 'm.relates_to': { event_id: to, rel_type: 'm.thread' } });

    it('is followed and not followed any more', async () => {
      expect((await subscription('GET')).status).toBe(404);
      expect((await subscription('DELETE')).status).toBe(200);
      expect((await subscription('PUT', {})).status).toBe(200);
      expect((await subscription('GET')).body).toEqual({ automatic: false });
      expect((await subscription('DELETE')).status).toBe(200);
      const gone = await subscription('GET');
      expect([gone.status, gone.body['errcode']]).toEqual([404, 'M_NOT_FOUND']);
      for (const method of ['GET', 'PUT', 'DELETE']) {
        expect((await subscription(method, method === 'PUT' ? {} : undefined, '$unknown')).status).toBe(404);
      }
    });

    it('is followed by itself only because of what was said in it since one stopped following', async () => {
      const [first, elsewhere] = [await reply(), await reply(await bert.say(roomId, 'other'))];
      for (const automatic of [root, elsewhere]) {
        const answer = await subscription('PUT', { automatic });
        expect([answer.status, answer.body['errcode']]).toEqual([400, 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD']);
      }
      expect((await subscription('PUT', { automatic: first })).status).toBe(200);
      expect((await subscription('GET')).body).toEqual({ automatic: true });
      await subscription('PUT', {});
      await subscription('PUT', { automatic: first });
      expect((await subscription('GET')).body).toEqual({ automatic: false });
      await subscription('DELETE');
      const refused = await subscription('PUT', { automatic: first });
      expect([refused.status, refused.body['errcode']]).toEqual([
        409,
        'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
      ]);
      expect((await subscription('PUT', { automatic: await reply() })).status).toBe(200);
    });

    it('is told of among those that one follows, in pages', async () => {
      const since = server.rooms.position;
      await subscription('PUT', {});
      const second = await bert.say(roomId, 'second');
      await subscription('PUT', {}, second);
      await subscription('DELETE', undefined, second);
      const list = (query: string) =>
        bert.ask('GET', `/unstable/io.element.msc4308/thread_subscriptions?dir=b${query}`);
      const stamp = { bump_stamp: jasmine.any(Number) };
      const first = await list(`&limit=1&to=s${String(since)}`);
      expect(first.body).toEqual({ unsubscribed: { [roomId]: { [second]: stamp } }, end: jasmine.any(String) });
      const rest = await list(`&to=s${String(since)}&from=${String(first.body['end'])}`);
      expect(rest.body).toEqual({ subscribed: { [roomId]: { [root]: { ...stamp, automatic: false } } } });
      expect((await list('&from=x')).status).toBe(400);
    });
  });
});

import type { JsonObject } from '../../federation/json.ts';
import { at, each, startServer } from './support.ts';
import type { Answer, Person, TestServer } from './support.ts';

describe('What is found', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer('luebeck.example');
  });

  afterAll(async () => {
    await server.close();
  });

  describe('The search', () => {
    let bert: Person;
    let clara: Person;

    beforeAll(async () => {
      [bert, clara] = await Promise.all([server.person('bert'), server.person('clara')]);
    });

    const search = (person: Person, term: string, more: JsonObject = {}, token = ''): Promise<Answer> =>
      person.ask('POST', `/v3/search${token === '' ? '' : `?next_batch=${token}`}`, {
        search_categories: { room_events: { search_term: term, keys: ['content.body'], ...more } },
      });
    const results = ({ body }: Answer): unknown[] =>
      each(body, 'search_categories.room_events.results', 'result', 'event_id');
    const events = ({ body }: Answer, ...path: (string | number)[]): unknown =>
      at(body, 'search_categories', 'room_events', ...path);

    it('finds messages by their words, in names and topics too, and says how many', async () => {
      const roomId = await bert.createRoom({ name: 'Speicher am Kai', topic: 'Kräne' });
      const id = await bert.say(roomId, 'Der Große Kran, heute!');
      await bert.say(roomId, 'Nichts');
      const found = await search(bert, 'große kran');
      expect(results(found)).toEqual([id]);
      expect(events(found, 'count')).toBe(1);
      expect(events(found, 'results', 0, 'result', 'content', 'body')).toBe('Der Große Kran, heute!');
      expect(events(found, 'highlights')).toEqual(['große', 'kran']);
      expect(results(await search(bert, 'große kräne'))).toEqual([]);
      const named = await search(bert, 'kräne OR speicher', { keys: ['content.name', 'content.topic'] });
      expect(events(named, 'count')).toBe(2);
      expect(results(await search(bert, `'"(:*&!\0<->`))).toEqual([]);
    });

    it('shows only what one may see: not rooms of others, not what is hidden, not what was taken back', async () => {
      const roomId = await bert.createRoom({
        preset: 'public_chat',
        initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }],
      });
      await bert.say(roomId, 'secretword before');
      expect(events(await search(clara, 'secretword'), 'count')).toBe(0);
      await clara.join(roomId);
      const seen = await bert.say(roomId, 'secretword after');
      const gone = await bert.say(roomId, 'secretword gone');
      await bert.ask('PUT', `/v3/rooms/${encodeURIComponent(roomId)}/redact/${encodeURIComponent(gone)}/1`, {});
      for (const order of ['rank', 'recent']) {
        const found = await search(clara, 'secretword', { order_by: order });
        expect([results(found), events(found, 'count')]).toEqual([[seen], 1]);
      }
      expect(events(await search(clara, 'secretword', { filter: { rooms: ['!x:luebeck.example'] } }), 'count')).toBe(0);
    });

    it('gives pages, newest first, that do not move when more is said', async () => {
      const roomId = await bert.createRoom();
      const ids: string[] = [];
      for (let count = 0; count < 6; count++) ids.push(await bert.say(roomId, `number ${String(count)}`));
      const more = { order_by: 'recent', filter: { limit: 3, rooms: [roomId] } };
      const first = await search(bert, 'number', more);
      expect([results(first), events(first, 'count')]).toEqual([[ids[5], ids[4], ids[3]], 6]);
      await bert.say(roomId, 'number 7');
      const second = await search(bert, 'number', more, String(events(first, 'next_batch')));
      expect([results(second), events(second, 'count')]).toEqual([[ids[2], ids[1], ids[0]], 6]);
      const third = await search(bert, 'number', more, String(events(second, 'next_batch')));
      expect([results(third), events(third, 'next_batch')]).toEqual([[], undefined]);
      expect((await search(bert, 'number', more, 'nonsense')).status).toBe(400);
    });

    it('brings what is around, the state, profiles and groups when asked', async () => {
      const roomId = await bert.createRoom();
      for (let count = 1; count <= 5; count++) await bert.say(roomId, `Message number ${String(count)}`);
      const found = await search(bert, 'Message 3', {
        filter: { rooms: [roomId] },
        event_context: { before_limit: 2, after_limit: 1, include_profile: true },
        include_state: true,
        groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
      });
      const context = events(found, 'results', 0, 'context');
      expect(each(context, 'events_before', 'content', 'body')).toEqual(['Message number 2', 'Message number 1']);
      expect(each(context, 'events_after', 'content', 'body')).toEqual(['Message number 4']);
      expect(at(context, 'profile_info', bert.userId, 'displayname')).toBe('bert');
      expect(each(events(found, 'state'), roomId, 'type')).toContain('m.room.create');
      const { groups } = events(found) as Record<string, unknown>;
      expect(at(groups, 'room_id', roomId, 'results')).toEqual(results(found));
      expect(at(groups, 'sender', bert.userId, 'order')).toBe(0);
    });

    it('goes into the room that another one has replaced', async () => {
      const old = await bert.createRoom();
      const before = await bert.say(old, 'upgradeword before');
      const upgraded = await bert.ask('POST', `/v3/rooms/${encodeURIComponent(old)}/upgrade`, { new_version: '12' });
      const now = String(upgraded.body['replacement_room']);
      const after = await bert.say(now, 'upgradeword after');
      expect(results(await search(bert, 'upgradeword', { filter: { rooms: [now] } }))).toEqual([before, after]);
    });

    it('refuses what is malformed', async () => {
      const wrong: JsonObject[] = [{ keys: ['content.secret'] }, { order_by: 'x' }, { filter: 7 }, { search_term: 7 }];
      for (const more of wrong) expect((await search(bert, 'x', more)).status).toBe(400);
      expect((await bert.ask('POST', '/v3/search', {})).status).toBe(400);
    });
  });

  describe('What is around an event', () => {
    let bert: Person;
    let clara: Person;
    let roomId: string;
    let ids: string[];

    beforeAll(async () => {
      [bert, clara] = await Promise.all([server.person('bert'), server.person('clara')]);
      roomId = await bert.createRoom({ preset: 'public_chat' });
      await clara.join(roomId);
      ids = [];
      for (let count = 0; count < 6; count++) {
        ids.push(await (count % 2 ? clara : bert).say(roomId, `m${String(count)}`));
      }
    });

    const context = (person: Person, id: string, query = ''): Promise<Answer> =>
      person.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/context/${encodeURIComponent(id)}${query}`);

    it('is told in both directions with the state, up to a limit', async () => {
      const { body } = await context(bert, ids[2] ?? '', '?limit=3');
      expect(at(body, 'event', 'event_id')).toBe(ids[2]);
      expect(each(body, 'events_before', 'event_id')).toEqual([ids[1]]);
      expect(each(body, 'events_after', 'event_id')).toEqual([ids[3], ids[4]]);
      expect(each(body, 'state', 'type')).toContain('m.room.create');
      const none = await context(bert, ids[2] ?? '', '?limit=0');
      expect([none.body['events_before'], none.body['events_after']]).toEqual([[], []]);
    });

    it('ends in places from which pages go on without a gap', async () => {
      const { body } = await context(bert, ids[2] ?? '', '?limit=0');
      const page = async (dir: string, from: unknown): Promise<unknown[]> => {
        const query = new URLSearchParams({ dir, from: String(from), limit: '2' }).toString();
        const answer = await bert.ask('GET', `/v3/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
        return each(answer.body, 'chunk', 'event_id');
      };
      expect(await page('b', body['start'])).toEqual([ids[1], ids[0]]);
      expect(await page('b', body['end'])).toEqual([ids[2], ids[1]]);
      expect(await page('f', body['end'])).toEqual([ids[3], ids[4]]);
      expect(await page('f', body['start'])).toEqual([ids[2], ids[3]]);
    });

    it('is filtered, with only the members who speak', async () => {
      const filter = encodeURIComponent(JSON.stringify({ senders: [clara.userId], lazy_load_members: true }));
      const { body } = await context(clara, ids[3] ?? '', `?limit=2&filter=${filter}`);
      expect(each(body, 'events_before', 'event_id')).toEqual([ids[1]]);
      const members = (body['state'] as { type: string; state_key: string }[]).filter(({ type }) => {
        return type === 'm.room.member';
      });
      expect(members.map((entry) => entry.state_key)).toEqual([clara.userId]);
      expect((await context(clara, ids[3] ?? '', '?filter=x')).status).toBe(400);
    });

    it('is for those who may see the event', async () => {
      const dora = await server.person('dora');
      expect((await context(dora, ids[3] ?? '')).status).toBeGreaterThanOrEqual(403);
      expect((await context(bert, '$unknown')).status).toBe(404);
    });

    it('is found by time, next to the moment in either direction', async () => {
      const path = `/v1/rooms/${encodeURIComponent(roomId)}/timestamp_to_event`;
      const { body } = await context(bert, ids[5] ?? '', '?limit=0');
      const last = Number(at(body, 'event', 'origin_server_ts'));
      const back = await bert.ask('GET', `${path}?dir=b&ts=${last + 1000}`);
      expect(back.body).toEqual({ event_id: ids[5], origin_server_ts: last });
      const first = await bert.ask('GET', `${path}?dir=f&ts=0`);
      const create = await server.rooms.stateEvent(roomId, 'm.room.create', '');
      expect(first.body['event_id']).toBe(create?.eventId);
      expect((await bert.ask('GET', `${path}?dir=f&ts=${last + 1000}`)).status).toBe(404);
      expect((await bert.ask('GET', `${path}?dir=b&ts=1`)).status).toBe(404);
      for (const query of ['?ts=1', '?dir=b', '?dir=b&ts=-1', '?dir=b&ts=x']) {
        expect((await bert.ask('GET', path + query)).status).toBe(400);
      }
      const emil = await server.person('emil');
      expect((await emil.ask('GET', `${path}?dir=f&ts=0`)).status).toBe(403);
    });
  });

  describe('The directory of people', () => {
    let bert: Person;
    let clara: Person;
    let eve: Person;
    let round = 0;
    /** Nobody of the other specs has this name. */
    const word = (name: string): string => `r${String(round)}${name}`;

    beforeEach(async () => {
      round += 1;
      bert = await server.person(word('bert'));
      clara = await server.person(word('clara'));
      eve = await server.person(word('eve'));
    });

    const find = async (person: Person, term: string, limit = 10): Promise<unknown[]> => {
      const answer = await person.ask('POST', '/v3/user_directory/search', { search_term: term, limit });
      return each(answer.body, 'results', 'user_id');
    };

    it('finds people by id and name only when one shares a room with them or they are in an open one', async () => {
      expect(await find(eve, word('clara'))).toEqual([]);
      await clara.createRoom({ visibility: 'public' });
      expect(await find(eve, word('cla').toUpperCase())).toEqual([clara.userId]);
      expect(await find(eve, `@${word('clara')}:luebeck`)).toEqual([clara.userId]);
      expect(await find(clara, word('clara'))).toEqual([clara.userId]);
      expect(await find(eve, word('bert'))).toEqual([]);
      const roomId = await bert.createRoom({ preset: 'private_chat', invite: [eve.userId] });
      expect(await find(eve, word('bert'))).toEqual([]);
      await eve.join(roomId);
      expect(await find(eve, word('bert'))).toEqual([bert.userId]);
      expect(await find(clara, word('bert'))).toEqual([]);
      expect(await find(eve, 'luebeck', 1)).toHaveSize(1);
      expect(await find(eve, '')).toEqual([]);
      expect(await find(eve, '% _ \\')).toEqual([]);
    });

    it('does not tell the name that somebody has in a single room', async () => {
      const roomId = await bert.createRoom({ invite: [clara.userId] });
      await clara.join(roomId);
      const path = `/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(clara.userId)}`;
      expect((await clara.ask('PUT', path, { membership: 'join', displayname: 'Freddy' })).status).toBe(200);
      await clara.createRoom({ visibility: 'public' });
      expect(await find(eve, 'freddy')).toEqual([]);
      const { body } = await eve.ask('POST', '/v3/user_directory/search', { search_term: word('clara') });
      expect(body['results']).toEqual([{ user_id: clara.userId, display_name: word('clara') }]);
    });

    it('tells which rooms two people share', async () => {
      const roomId = await bert.createRoom({ preset: 'public_chat' });
      const dora = await server.person('dora');
      await dora.join(roomId);
      for (const path of ['/v1/mutual_rooms', '/unstable/uk.half-shot.msc2666/user/mutual_rooms']) {
        const query = `?user_id=${encodeURIComponent(dora.userId)}`;
        expect((await bert.ask('GET', path + query)).body).toEqual({ joined: [roomId], count: 1 });
        expect((await dora.ask('GET', path + query)).status).toBe(400);
        expect((await dora.ask('GET', `${path}?user_id=x`)).status).toBe(400);
      }
    });

    it('and reports: of events that one sees, of rooms, of people, without telling who exists', async () => {
      const roomId = await bert.createRoom();
      const id = await bert.say(roomId, 'x');
      const room = `/v3/rooms/${encodeURIComponent(roomId)}/report`;
      const event = `${room}/${encodeURIComponent(id)}`;
      expect((await bert.ask('POST', event, { reason: 'quite\0secret', score: -100 })).status).toBe(200);
      expect((await eve.ask('POST', event, { reason: 'x' })).status).toBe(404);
      expect((await bert.ask('POST', event, { score: 'x' })).status).toBe(400);
      expect((await eve.ask('POST', room, { reason: 'x' })).status).toBe(200);
      expect((await eve.ask('POST', '/v3/rooms/!x:luebeck.example/report', { reason: 'x' })).status).toBe(404);
      for (const userId of [bert.userId, '@nobody:luebeck.example']) {
        const path = `/v3/users/${encodeURIComponent(userId)}/report`;
        expect((await eve.ask('POST', path, { reason: 'x' })).body).toEqual({});
      }
      const rows = await server.db.query('SELECT reporter, event_id, reason, score FROM reports ORDER BY report_id');
      expect(rows.length).toBe(3);
      expect(rows[0]).toEqual({ reporter: bert.userId, event_id: id, reason: 'quitesecret', score: -100 });
      expect(server.logged.join('')).not.toContain('quite');

      const list = '/_synapse/admin/v1/event_reports';
      expect((await eve.ask('GET', list)).status).toBe(403);
      await server.accounts.setAdmin(eve.userId, true);
      const first = await eve.ask('GET', `${list}?dir=f&limit=1`);
      expect(first.body).toEqual({
        event_reports: [
          jasmine.objectContaining({ event_id: id, room_id: roomId, user_id: bert.userId, reason: 'quitesecret' }),
        ],
        total: 3,
        next_token: 1,
      });
      const one = `${list}/${String(at(first.body, 'event_reports', 0, 'id'))}`;
      expect(at((await eve.ask('GET', one)).body, 'event_json', 'content', 'body')).toBe('x');
      expect((await eve.ask('DELETE', one)).status).toBe(200);
      expect((await eve.ask('GET', one)).status).toBe(404);
      expect((await eve.ask('GET', `${list}/x`)).status).toBe(400);
      const ofRoom = await eve.ask('GET', `${list}?room_id=${encodeURIComponent(roomId)}`);
      expect([each(ofRoom.body, 'event_reports', 'event_id'), ofRoom.body['total']]).toEqual([[null], 1]);
    });
  });
});

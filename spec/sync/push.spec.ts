import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { matchesWhole, matchesWords } from '../../homeserver/base/glob.ts';
import { at, list, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('Patterns of push rules', () => {
  it('stand for whole texts or for words, whatever the case', () => {
    expect(matchesWhole('m.room.*', 'm.room.message')).toBeTrue();
    expect(matchesWhole('m.room', 'm.room.message')).toBeFalse();
    expect(matchesWhole('?at', 'Cat')).toBeTrue();
    expect(matchesWhole('', '')).toBeTrue();
    expect(matchesWords('cake', 'Have some CAKE, please')).toBeTrue();
    expect(matchesWords('cake', 'pancakes')).toBeFalse();
    expect(matchesWords('ca*e', 'a cable here')).toBeTrue();
    expect(matchesWords('@room', 'hey @room!')).toBeTrue();
  });

  it('come to an end, however they are made', () => {
    expect(matchesWords('*a*a*a*a*a*a*a*a*a*a*b', 'a'.repeat(60_000))).toBeFalse();
    expect(matchesWhole('*a?'.repeat(80), 'a'.repeat(60_000))).toBeTrue();
  });
});

describe('Push', () => {
  let server: TestServer;
  let bert: Person;
  let clara: Person;
  let gateway: Server;
  let gatewayUrl: string;
  const pushed: Record<string, unknown>[] = [];
  let gatewayAnswer = { status: 200, body: '{"rejected":[]}' };
  let onPush: (() => void) | undefined;

  beforeAll(async () => {
    gateway = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        pushed.push(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
        response.statusCode = gatewayAnswer.status;
        response.end(gatewayAnswer.body);
        onPush?.();
      });
    });
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    const { port } = gateway.address() as AddressInfo;
    gatewayUrl = `http://127.0.0.1:${String(port)}/_matrix/push/v1/notify`;
    server = await startServer({ push: { allowedRanges: ['127.0.0.0/8'] } });
    [bert, clara] = [await server.person('bert'), await server.person('clara')];
  });
  afterAll(async () => {
    await server.close();
    gateway.closeAllConnections();
    await new Promise((resolve) => gateway.close(resolve));
  });

  /** A room with somebody more, so that it is no chat of two. */
  const room = async (): Promise<string> => {
    const id = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(id);
    await (await server.person('anna')).join(id);
    return id;
  };
  const counts = async (who: Person, id: string, filter = {}): Promise<unknown[]> => {
    const entry = at(await who.sync({ filter }), 'rooms', 'join', id);
    return [at(entry, 'unread_notifications'), at(entry, 'unread_thread_notifications')];
  };
  const unread = (notifications: number, highlights: number): unknown => ({
    notification_count: notifications,
    highlight_count: highlights,
  });

  it('counts what others say, more when somebody is meant, and nothing that was read', async () => {
    const id = await room();
    await bert.say(id, 'one');
    await bert.say(id, { msgtype: 'm.notice', body: 'clara: a notice of a robot' });
    const last = await bert.say(id, 'moin clara!');
    await bert.say(id, { msgtype: 'm.text', body: 'clara', 'm.mentions': { user_ids: [] } });
    expect((await counts(clara, id))[0]).toEqual(unread(3, 1));
    expect((await counts(bert, id))[0]).toEqual(unread(0, 0));
    await clara.ask('POST', `/rooms/${id}/receipt/m.read/${last}`, {});
    expect((await counts(clara, id))[0]).toEqual(unread(1, 0));
    await bert.say(id, { msgtype: 'm.text', body: 'you', 'm.mentions': { user_ids: [clara.userId] } });
    expect((await counts(clara, id))[0]).toEqual(unread(2, 1));
    await clara.say(id, 'I read it all');
    expect((await counts(clara, id))[0]).toEqual(unread(0, 0));
  });

  it('tells counts in the sync that brings the message, and again when it was read elsewhere', async () => {
    const id = await room();
    const since = await clara.now();
    const event = await bert.say(id, 'x');
    const answer = await clara.sync({ since });
    expect(at(answer, 'rooms', 'join', id, 'unread_notifications')).toEqual(unread(1, 0));
    await clara.ask('POST', `/rooms/${id}/receipt/m.read.private/${event}`, {});
    const later = await clara.sync({ since: String(answer['next_batch']) });
    expect(at(later, 'rooms', 'join', id, 'unread_notifications')).toEqual(unread(0, 0));
  });

  it('counts threads apart for clients that want it', async () => {
    const id = await room();
    const root = await bert.say(id, 'root');
    const inThread = (body: string): Promise<string> =>
      bert.say(id, { msgtype: 'm.text', body, 'm.relates_to': { rel_type: 'm.thread', event_id: root } });
    const first = await inThread('one');
    await inThread('clara, two');
    const filter = { room: { timeline: { unread_thread_notifications: true } } };
    expect(await counts(clara, id)).toEqual([unread(3, 1), undefined]);
    expect(await counts(clara, id, filter)).toEqual([unread(1, 0), { [root]: unread(2, 1) }]);
    await clara.ask('POST', `/rooms/${id}/receipt/m.read/${first}`, { thread_id: root });
    expect(await counts(clara, id, filter)).toEqual([unread(1, 0), { [root]: unread(1, 1) }]);
    await clara.ask('POST', `/rooms/${id}/receipt/m.read/${root}`, { thread_id: 'main' });
    expect(await counts(clara, id, filter)).toEqual([unread(0, 0), { [root]: unread(1, 1) }]);
    const last = await inThread('three');
    await clara.ask('POST', `/rooms/${id}/receipt/m.read/${last}`, {});
    expect(await counts(clara, id, filter)).toEqual([unread(0, 0), undefined]);
  });

  it('forgets a message that was taken back', async () => {
    const id = await room();
    const event = await bert.say(id, 'oops');
    await bert.ask('PUT', `/rooms/${id}/redact/${event}/r2`, {});
    expect((await counts(clara, id))[0]).toEqual(unread(0, 0));
  });

  it('lists what was of notice', async () => {
    const id = await room();
    const event = await bert.say(id, 'clara, look');
    await clara.sync();
    const { body } = await clara.ask('GET', '/notifications?limit=1&only=highlight');
    const [notice] = list(body, 'notifications');
    expect(at(notice, 'event', 'event_id')).toBe(event);
    expect([notice?.['room_id'], notice?.['read']]).toEqual([id, false]);
    expect(at(notice, 'actions', 0)).toBe('notify');
  });

  describe('rules', () => {
    const path = (kind: string, id: string): string => `/pushrules/global/${kind}/${encodeURIComponent(id)}`;
    const ids = (rules: Record<string, unknown>[]): unknown[] => rules.map((rule) => rule['rule_id']);

    it('are told in the first sync and again when they change', async () => {
      const dora = await server.person('dora');
      const rulesIn = (answer: unknown): unknown =>
        at(
          list(answer, 'account_data', 'events').find((event) => event['type'] === 'm.push_rules'),
          'content',
          'global',
        );
      const first = await dora.sync();
      expect(rulesIn(first)).toBeDefined();
      const since = String(first['next_batch']);
      expect(rulesIn(await dora.sync({ since }))).toBeUndefined();
      const waiting = dora.sync({ since, timeout: '10000' });
      await dora.ask('PUT', path('room', '!foo:example.com'), { actions: ['notify'] });
      expect(at(rulesIn(await waiting), 'room', 0, 'rule_id')).toBe('!foo:example.com');
    });

    it('of the user come before those of the server, in the order that the user gives', async () => {
      const erik = await server.person('erik');
      const put = (id: string, query = ''): Promise<unknown> =>
        erik.ask('PUT', `${path('override', id)}${query}`, { actions: [], conditions: [] });
      await put('one');
      await put('two');
      await put('three', '?after=two');
      await put('four', '?before=two');
      const { body } = await erik.ask('GET', '/pushrules/');
      const order = ids(list(body, 'global', 'override'));
      expect(order.slice(0, 6)).toEqual(['.m.rule.master', 'four', 'two', 'three', 'one', '.m.rule.suppress_notices']);
      await erik.ask('DELETE', path('override', 'two'));
      expect((await erik.ask('GET', path('override', 'two'))).status).toBe(404);
      expect((await erik.ask('PUT', `${path('override', 'five')}?after=two`, { actions: [] })).status).toBe(404);
    });

    it('can be switched off, given other actions, and read one by one', async () => {
      const fritz = await server.person('fritz');
      const id = await room();
      await fritz.join(id);
      await fritz.ask('PUT', `${path('underride', '.m.rule.message')}/enabled`, { enabled: false });
      await bert.say(id, 'quiet');
      expect((await counts(fritz, id))[0]).toEqual(unread(0, 0));
      const actions = ['notify', { set_tweak: 'highlight' }];
      await fritz.ask('PUT', `${path('underride', '.m.rule.message')}/enabled`, { enabled: true });
      await fritz.ask('PUT', `${path('underride', '.m.rule.message')}/actions`, { actions });
      await bert.say(id, 'loud');
      expect((await counts(fritz, id))[0]).toEqual(unread(1, 1));
      const rule = (await fritz.ask('GET', path('underride', '.m.rule.message'))).body;
      expect(rule).toEqual(jasmine.objectContaining({ default: true, enabled: true, actions }));
      await fritz.ask('PUT', path('sender', bert.userId), { actions: ['dont_notify'] });
      await bert.say(id, 'not from you');
      expect((await counts(fritz, id))[0]).toEqual(unread(1, 1));
    });

    it('that make no sense are refused', async () => {
      const status = async (where: string, body: Record<string, never> | object): Promise<number> =>
        (await bert.ask('PUT', where, JSON.parse(JSON.stringify(body)) as Record<string, never>)).status;
      expect(await status(path('override', '.m.rule.mine'), { actions: [] })).toBe(400);
      expect(await status(path('override', 'a/b'), { actions: [] })).toBe(400);
      expect(await status(path('guess', 'a'), { actions: [] })).toBe(404);
      expect(await status(path('content', 'a'), { actions: [] })).toBe(400);
      expect(await status(path('room', '!a:b'), { actions: ['dance'] })).toBe(400);
      expect(await status(path('room', '!a:b'), {})).toBe(400);
      expect(await status(`${path('room', '!none:b')}/enabled`, { enabled: true })).toBe(404);
      expect(await status(`${path('override', '.m.rule.master')}/enabled`, { enabled: 'yes' })).toBe(400);
    });
  });

  describe('gateways', () => {
    const pusher = (pushkey: string, data: Record<string, string>): Record<string, never> =>
      ({
        kind: 'http',
        app_id: 'org.example.app',
        app_display_name: 'App',
        device_display_name: 'Phone',
        lang: 'en',
        pushkey,
        data,
      }) as unknown as Record<string, never>;
    const next = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (pushed.length >= count) resolve();
        };
        onPush = look;
        look();
      });

    beforeEach(() => {
      pushed.length = 0;
      gatewayAnswer = { status: 200, body: '{"rejected":[]}' };
    });

    it('are told of a message, with its content or only its id', async () => {
      const gustav = await server.person('gustav');
      const id = await room();
      await gustav.join(id);
      expect((await gustav.ask('POST', '/pushers/set', pusher('key-1', { url: gatewayUrl }))).status).toBe(200);
      const event = await bert.say(id, 'gustav, a push');
      await next(1);
      const notification = at(pushed[0], 'notification');
      expect(at(notification, 'event_id')).toBe(event);
      expect(at(notification, 'content', 'body')).toBe('gustav, a push');
      expect(at(notification, 'counts', 'unread')).toBe(1);
      expect(at(notification, 'devices', 0, 'tweaks')).toEqual({ sound: 'default', highlight: true });
      expect(at(notification, 'devices', 0, 'data')).toEqual({});
      const bare = pusher('key-1', { url: gatewayUrl, format: 'event_id_only' });
      await gustav.ask('POST', '/pushers/set', bare);
      expect(list((await gustav.ask('GET', '/pushers')).body, 'pushers').length).toBe(1);
      await bert.say(id, 'secret');
      await next(2);
      expect(Object.keys(at(pushed[1], 'notification') as object).sort()).toEqual([
        'counts',
        'devices',
        'event_id',
        'prio',
        'room_id',
      ]);
    });

    it('hear how much is left when something was read', async () => {
      const ines = await server.person('ines');
      const id = await room();
      await ines.join(id);
      await ines.ask('POST', '/pushers/set', pusher('key-read', { url: gatewayUrl }));
      const event = await bert.say(id, 'ines, please read');
      await next(1);
      await ines.ask('POST', `/rooms/${encodeURIComponent(id)}/receipt/m.read/${encodeURIComponent(event)}`, {});
      await next(2);
      expect(at(pushed[1], 'notification', 'counts')).toEqual({ unread: 0 });
      expect(at(pushed[1], 'notification', 'event_id')).toBeUndefined();
      expect(at(pushed[1], 'notification', 'devices', 0, 'pushkey')).toBe('key-read');
    });

    it('that can not be reached are asked again; one that rejects a key is asked no more', async () => {
      const hanna = await server.person('hanna');
      const id = await room();
      await hanna.join(id);
      await hanna.ask('POST', '/pushers/set', pusher('key-2', { url: gatewayUrl }));
      gatewayAnswer = { status: 502, body: '' };
      await bert.say(id, 'first try');
      await next(1);
      gatewayAnswer = { status: 200, body: '{"rejected":["key-2"]}' };
      await next(2);
      await bert.say(id, 'more');
      await hanna.sync();
      expect(at(pushed[1], 'notification', 'content', 'body')).toBe('first try');
      expect(list((await hanna.ask('GET', '/pushers')).body, 'pushers')).toEqual([]);
      expect(pushed.length).toBe(2);
    });

    it('and pushers that are malformed are refused; kind null ends one', async () => {
      const status = async (body: Record<string, never>): Promise<number> =>
        (await bert.ask('POST', '/pushers/set', body)).status;
      expect(await status(pusher('k', { url: 'https://push.example/elsewhere' }))).toBe(400);
      expect(await status(pusher('k', { url: 'ftp://push.example/_matrix/push/v1/notify' }))).toBe(400);
      expect(await status(pusher('k', {}))).toBe(400);
      expect(await status({})).toBe(400);
      expect(await status(pusher('k', { url: 'https://push.example/_matrix/push/v1/notify' }))).toBe(200);
      const end = { app_id: 'org.example.app', pushkey: 'k', kind: null } as unknown as Record<string, never>;
      expect(await status(end)).toBe(200);
      expect(list((await bert.ask('GET', '/pushers')).body, 'pushers')).toEqual([]);
    });
  });
});

/** The control connection by itself: real sockets, and a handler of this spec in place of the media. */
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import { ControlServer } from '../../sfu/control-server.ts';
import { SfuError } from '../../sfu/errors.ts';
import { SECRET, eventually } from './support.ts';

interface Call {
  readonly method: string;
  readonly params: unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Longer than a spec, in ms. */
const NEVER_MS = 600_000;

describe('the control connection', () => {
  let folder: string;
  let path: string;
  let server: ControlServer | undefined;
  let calls: Call[];
  let orphaned: number;
  let logged: { level: number; msg: string; method?: string }[];
  const sockets: WebSocket[] = [];
  /** What they have received and no spec has taken yet. */
  const inboxes = new WeakMap<WebSocket, unknown[]>();

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-sfu-'));
    path = join(folder, 'control.sock');
    calls = [];
    orphaned = 0;
    logged = [];
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate();
    await server?.close();
    server = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  const log = () =>
    pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line) as (typeof logged)[number]) });

  async function listen(orphanGraceMs = NEVER_MS): Promise<ControlServer> {
    server = await ControlServer.listen({
      control: { path },
      secret: SECRET,
      orphanGraceMs,
      log: log(),
      handle: (method, params) =>
        new Promise((resolve, reject) => {
          if (method === 'hello') resolve({});
          else calls.push({ method, params, resolve, reject });
        }),
      onOrphaned: () => (orphaned += 1),
    });
    return server;
  }

  async function dial(options: { autoPong?: boolean } = {}): Promise<WebSocket> {
    const headers = { authorization: `Bearer ${SECRET}` };
    const socket = new WebSocket(`ws+unix:${path}:/`, { headers, ...options });
    sockets.push(socket);
    const inbox: unknown[] = [];
    inboxes.set(socket, inbox);
    socket.on('message', (data) => inbox.push(JSON.parse(String(data))));
    await once(socket, 'open');
    return socket;
  }

  const send = (socket: WebSocket, message: object): void => socket.send(JSON.stringify(message));

  /** @returns the next messages, in order */
  async function next(socket: WebSocket, count: number): Promise<unknown[]> {
    const inbox = inboxes.get(socket) ?? [];
    while (inbox.length < count) await once(socket, 'message');
    return inbox.splice(0, count);
  }

  async function greeted(options?: { autoPong?: boolean }): Promise<WebSocket> {
    const socket = await dial(options);
    send(socket, { id: 1, method: 'hello' });
    await next(socket, 1);
    return socket;
  }

  async function asked(count: number): Promise<Call[]> {
    await eventually(() => calls.length >= count);
    return calls;
  }

  describe('answers', () => {
    it('in the order in which results are there, each with the number of its request', async () => {
      await listen();
      const socket = await greeted();
      for (const id of [5, 3, 4]) send(socket, { id, method: `m${String(id)}` });
      const [first, second, third] = await asked(3);
      third?.resolve('last');
      second?.reject(new SfuError('conflict', 'taken'));
      first?.resolve('first');
      expect(await next(socket, 3)).toEqual([
        { id: 4, result: 'last' },
        { id: 3, error: { code: 'conflict', message: 'taken' } },
        { id: 5, result: 'first' },
      ]);
    });

    it('each of two requests that have the same number', async () => {
      await listen();
      const socket = await greeted();
      send(socket, { id: 7, method: 'one' });
      send(socket, { id: 7, method: 'other' });
      for (const { method, resolve } of await asked(2)) resolve(method);
      expect(await next(socket, 2)).toEqual([
        { id: 7, result: 'one' },
        { id: 7, result: 'other' },
      ]);
    });

    it('takes requests in the order in which they were sent', async () => {
      await listen();
      const socket = await greeted();
      for (let id = 0; id < 20; id += 1) send(socket, { id, method: 'm', params: id });
      expect((await asked(20)).map(({ params }) => params)).toEqual(Array.from({ length: 20 }, (_, id) => id));
    });

    it('nothing to who was replaced, whose late results go to nobody', async () => {
      await listen();
      const first = await greeted();
      send(first, { id: 2, method: 'slow' });
      const [slow] = await asked(1);
      const heard: unknown[] = [];
      first.on('message', (data) => heard.push(String(data)));
      const ended = once(first, 'close');
      const second = await greeted();
      slow?.resolve('late');
      await ended;
      send(second, { id: 3, method: 'next' });
      (await asked(2))[1]?.resolve('now');
      expect(await next(second, 1)).toEqual([{ id: 3, result: 'now' }]);
      expect(heard).toEqual([]);
    });

    it('goes on after a failure that it does not know, and logs it without its parameters', async () => {
      await listen();
      const socket = await greeted();
      send(socket, { id: 2, method: 'fails', params: { secret: 'hunter2' } });
      (await asked(1))[0]?.reject(new Error('broken'));
      expect(await next(socket, 1)).toEqual([{ id: 2, error: { code: 'internal', message: 'broken' } }]);
      expect(logged.some(({ msg, method }) => msg === 'control: request failed' && method === 'fails')).toBeTrue();
      expect(JSON.stringify(logged)).not.toContain('hunter2');
      send(socket, { id: 3, method: 'works' });
      (await asked(2))[1]?.resolve({});
      expect(await next(socket, 1)).toEqual([{ id: 3, result: {} }]);
    });

    it('does not log what a homeserver asks for in vain', async () => {
      await listen();
      const socket = await greeted();
      send(socket, { id: 2, method: 'gone' });
      (await asked(1))[0]?.reject(new SfuError('not-found', 'no such link'));
      await next(socket, 1);
      expect(logged.filter(({ level }) => level > 30)).toEqual([]);
    });

    it('closes the line for a binary message', async () => {
      await listen();
      const socket = await greeted();
      socket.send(Buffer.from(JSON.stringify({ id: 1, method: 'stats' })));
      expect((await once(socket, 'close'))[0]).toBe(1008);
      expect(calls).toEqual([]);
    });

    it('has no pages for who comes by HTTP', async () => {
      await listen();
      const asking = request({ socketPath: path, path: '/', headers: { authorization: `Bearer ${SECRET}` } });
      asking.end();
      const [response] = (await once(asking, 'response')) as [IncomingMessage];
      response.resume();
      expect(response.statusCode).toBe(404);
    });
  });

  describe('notifies', () => {
    const lost = { conferenceIds: ['!a:luebeck.example'] };

    it('only after the answer to hello, which has what was before in its snapshot', async () => {
      const { notify } = await listen();
      const socket = await dial();
      notify('conference.lost', lost);
      send(socket, { id: 1, method: 'hello' });
      expect(await next(socket, 1)).toEqual([{ id: 1, result: {} }]);
      notify('conference.lost', lost);
      expect(await next(socket, 1)).toEqual([{ notification: 'conference.lost', data: lost }]);
    });

    it('in order, also among answers', async () => {
      const { notify } = await listen();
      const socket = await greeted();
      send(socket, { id: 2, method: 'm' });
      const [call] = await asked(1);
      notify('consumer.closed', { consumerId: 'before', transportId: 't' });
      call?.resolve({});
      await Promise.resolve();
      await Promise.resolve();
      setImmediate(() => notify('consumer.closed', { consumerId: 'after', transportId: 't' }));
      const messages = (await next(socket, 3)).map((message) => JSON.stringify(message));
      expect(messages.map((text) => /before|after|result/.exec(text)?.[0])).toEqual(['before', 'result', 'after']);
    });

    it('nobody while there is no homeserver', async () => {
      const { notify } = await listen();
      expect(() => notify('conference.lost', lost)).not.toThrow();
      const socket = await greeted();
      notify('conference.lost', { conferenceIds: [] });
      expect(await next(socket, 1)).toEqual([{ notification: 'conference.lost', data: { conferenceIds: [] } }]);
    });

    it('a homeserver that does not read until 16 MiB wait for it, and then hangs up', async () => {
      const { notify } = await listen();
      const socket = await greeted();
      socket.pause();
      const data = { conferenceIds: [`!${'x'.repeat(1_048_576)}`] };
      const hungUp = () => logged.some(({ msg }) => msg === 'control: the homeserver does not read');
      for (let count = 0; count < 16; count += 1) notify('conference.lost', data);
      expect(hungUp()).toBeFalse();
      for (let count = 0; count < 4; count += 1) notify('conference.lost', data);
      expect(hungUp()).toBeTrue();
      socket.resume();
      expect((await once(socket, 'close'))[0]).toBe(1006);
      await greeted();
    });
  });

  describe('on a clock of the spec', () => {
    beforeEach(() => {
      jasmine.clock().install();
    });
    afterEach(() => {
      jasmine.clock().uninstall();
    });

    /** Waits without timers. */
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setImmediate(resolve));
    };

    it('calls for the end of all media when no homeserver comes at all, once', async () => {
      await listen(60_000);
      jasmine.clock().tick(59_999);
      expect(orphaned).toBe(0);
      jasmine.clock().tick(1);
      expect(orphaned).toBe(1);
      jasmine.clock().tick(600_000);
      expect(orphaned).toBe(1);
    });

    it('counts anew from the end of the last connection', async () => {
      await listen(60_000);
      jasmine.clock().tick(59_999);
      const socket = await dial();
      jasmine.clock().tick(1);
      expect(orphaned).toBe(0);
      socket.close();
      await until(() => logged.some(({ msg }) => msg === 'control: homeserver gone'));
      jasmine.clock().tick(59_999);
      expect(orphaned).toBe(0);
      jasmine.clock().tick(1);
      expect(orphaned).toBe(1);
    });

    it('does not take the end of a connection that was replaced for the end of the homeserver', async () => {
      await listen(60_000);
      const first = await dial();
      const ended = once(first, 'close');
      await dial();
      await ended;
      await new Promise((resolve) => setImmediate(resolve));
      jasmine.clock().tick(4_999);
      expect(logged.filter(({ msg }) => msg === 'control: homeserver gone')).toEqual([]);
      expect(orphaned).toBe(0);
    });

    it('does not call for it after its own end', async () => {
      const listening = await listen(60_000);
      await dial();
      await listening.close();
      server = undefined;
      jasmine.clock().tick(120_000);
      expect(orphaned).toBe(0);
    });

    it('hangs up on who has not answered a ping when the next one is due', async () => {
      await listen();
      const socket = await greeted({ autoPong: false });
      const pinged = once(socket, 'ping');
      jasmine.clock().tick(5000);
      await pinged;
      const closed = once(socket, 'close');
      jasmine.clock().tick(5000);
      expect((await closed)[0]).toBe(1006);
    });

    it('keeps who answers pings', async () => {
      await listen();
      const socket = await greeted();
      for (let count = 0; count < 3; count += 1) {
        const pinged = once(socket, 'ping');
        jasmine.clock().tick(5000);
        await pinged;
        // What comes after the pong has been read after it.
        socket.ping();
        await once(socket, 'pong');
      }
      expect(socket.readyState).toBe(WebSocket.OPEN);
    });

    it('takes a request for a sign of life as well', async () => {
      await listen();
      const socket = await greeted({ autoPong: false });
      for (let count = 0; count < 3; count += 1) {
        jasmine.clock().tick(5000);
        send(socket, { id: 2, method: 'hello' });
        await next(socket, 1);
      }
      expect(socket.readyState).toBe(WebSocket.OPEN);
    });
  });

  describe('listens', () => {
    it('where a dead process has left its socket', async () => {
      const dead = createServer().listen(path);
      await once(dead, 'listening');
      // Closing it would remove the socket, so another name of it is kept.
      renameSync(path, `${path}.kept`);
      dead.close();
      await once(dead, 'close');
      renameSync(`${path}.kept`, path);
      expect(existsSync(path)).toBeTrue();
      await listen();
      expect((await greeted()).readyState).toBe(WebSocket.OPEN);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    });

    it('not where another process does, whose socket stays', async () => {
      const other = createServer().listen(path);
      await once(other, 'listening');
      await expectAsync(listen()).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
      expect(existsSync(path)).toBeTrue();
      other.close();
    });

    it('not in place of a file or folder, which is left as it is', async () => {
      writeFileSync(path, 'precious');
      await expectAsync(listen()).toBeRejectedWith(
        jasmine.objectContaining({ code: 'conflict', message: 'the path of the control socket is that of a file' }),
      );
      expect(readFileSync(path, 'utf8')).toBe('precious');
      path = join(folder, 'folder');
      mkdirSync(path);
      await expectAsync(listen()).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
      expect(existsSync(path)).toBeTrue();
    });
  });

  it('ends with its connections and its socket', async () => {
    const listening = await listen();
    const socket = await greeted();
    const closed = once(socket, 'close');
    await listening.close();
    server = undefined;
    await closed;
    expect(existsSync(path)).toBeFalse();
  });
});

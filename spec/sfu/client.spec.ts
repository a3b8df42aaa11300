/** The homeserver's end of the control line, against an SFU of this spec that does what a good one would not. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { SfuClient, type SfuConnection } from '../../sfu/client.ts';
import { SECRET, eventually } from './support.ts';

const HELLO = {
  instanceId: 'instance-1',
  workers: 1,
  link: { address: '127.0.0.1', minPort: 40000, maxPort: 40999, probePort: 44439 },
  snapshot: { conferences: [] },
};

interface Asked {
  readonly id: number;
  readonly method: string;
  readonly params: unknown;
}

describe('the client of the SFU', () => {
  let folder: string;
  let path: string;
  let http: Server;
  let sfu: WebSocketServer;
  /** The last connection, and what came over all of them. */
  let line: WebSocket | undefined;
  let upgrades: IncomingMessage[];
  let asked: Asked[];
  /** What the SFU does with a hello. */
  let greet: (line: WebSocket, id: number) => void;
  let logged: { details: object; message: string }[];
  const clients: SfuClient[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-sfu-'));
    path = join(folder, 'control.sock');
    upgrades = [];
    asked = [];
    logged = [];
    line = undefined;
    greet = (of, id) => answer(of, { id, result: HELLO });
    http = createServer();
    sfu = new WebSocketServer({ server: http });
    sfu.on('connection', (socket, request) => {
      line = socket;
      upgrades.push(request);
      socket.on('message', (data) => {
        const request = JSON.parse(String(data)) as Asked;
        if (request.method === 'hello') greet(socket, request.id);
        else asked.push(request);
      });
    });
    http.listen(path);
    await once(http, 'listening');
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const socket of sfu.clients) socket.terminate();
    sfu.close();
    http.close();
    await once(http, 'close');
    rmSync(folder, { recursive: true, force: true });
  });

  const answer = (of: WebSocket | undefined, message: unknown): void =>
    of?.send(typeof message === 'string' ? message : JSON.stringify(message));

  function connect(): SfuClient {
    const keep = (details: object, message: string) => logged.push({ details, message });
    const client = new SfuClient({ socketPath: path, secret: SECRET, log: { info: keep, warn: keep } });
    clients.push(client);
    return client;
  }

  async function connected(): Promise<SfuClient> {
    const client = connect();
    await eventually(() => client.hello !== undefined, 'the greeting');
    return client;
  }

  async function request(count = 1): Promise<Asked> {
    await eventually(() => asked.length >= count, 'a request');
    const last = asked[count - 1];
    if (!last) throw new Error('unreachable');
    return last;
  }

  const fails = (promise: Promise<unknown>, code: string, message = /./) =>
    expectAsync(promise).toBeRejectedWith(
      jasmine.objectContaining({ name: 'SfuError', code, message: jasmine.stringMatching(message) }),
    );

  describe('greets', () => {
    it('with the secret, and with the version first of all', async () => {
      const numbers: number[] = [];
      greet = (of, id) => {
        numbers.push(id);
        answer(of, { id, result: HELLO });
      };
      const client = await connected();
      expect(upgrades[0]?.headers.authorization).toBe(`Bearer ${SECRET}`);
      expect(numbers).toEqual([1]);
      expect(client.hello).toEqual(HELLO);
    });

    it('before anything may be asked', async () => {
      greet = () => undefined;
      const client = connect();
      await eventually(() => line !== undefined);
      await fails(client.request('stats', {}), 'worker-lost', /cannot be reached/);
      expect(asked).toEqual([]);
    });

    it('again and again an SFU of another version, and logs that once', async () => {
      greet = (of, id) => answer(of, { id, error: { code: 'unsupported', message: 'version 2' } });
      const client = connect();
      await eventually(() => upgrades.length >= 3, 'three attempts');
      expect(client.hello).toBeUndefined();
      expect(logged.length).toBe(1);
      greet = (of, id) => answer(of, { id, result: HELLO });
      await eventually(() => client.hello !== undefined, 'the greeting');
    });

    it('again an SFU whose greeting is malformed', async () => {
      greet = (of, id) => answer(of, { id, result: { ...HELLO, link: { ...HELLO.link, probePort: 0 } } });
      const client = connect();
      await eventually(() => upgrades.length >= 2, 'two attempts');
      expect(client.hello).toBeUndefined();
      greet = (of, id) => answer(of, { id, result: HELLO });
      await eventually(() => client.hello !== undefined, 'the greeting');
    });

    it('an SFU that comes later, and logs each outage once', async () => {
      const client = await connected();
      const outage = async (): Promise<void> => {
        greet = (of) => of.terminate();
        const before = upgrades.length;
        line?.terminate();
        await eventually(() => upgrades.length >= before + 3, 'three attempts');
        greet = (of, id) => answer(of, { id, result: HELLO });
        await eventually(() => client.hello !== undefined, 'the greeting');
      };
      await outage();
      expect(logged.length).toBe(1);
      await outage();
      expect(logged.length).toBe(2);
    });
  });

  describe('has a state', () => {
    it('that is told at once where it is connected, and with every change', async () => {
      const client = await connected();
      const states: SfuConnection[] = [];
      client.onState((state) => states.push(state));
      expect(states).toEqual([{ connected: true, hello: HELLO }]);
      const next = { ...HELLO, instanceId: 'instance-2' };
      greet = (of, id) => answer(of, { id, result: next });
      line?.terminate();
      await eventually(() => states.length >= 3, 'three states');
      expect(states.slice(1)).toEqual([{ connected: false }, { connected: true, hello: next }]);
    });

    it('that is told to nobody who does not want it any more', async () => {
      const client = await connected();
      const states: boolean[] = [];
      client.onState(({ connected: there }) => states.push(there))();
      line?.terminate();
      await eventually(() => client.hello === undefined);
      expect(states).toEqual([true]);
    });

    it('whose attempts that fail are no changes', async () => {
      greet = (of) => of.terminate();
      const client = connect();
      const states: boolean[] = [];
      client.onState(({ connected: there }) => states.push(there));
      await eventually(() => upgrades.length >= 3, 'three attempts');
      expect(states).toEqual([]);
    });
  });

  describe('asks', () => {
    it('and has the result of its own request, whatever the order', async () => {
      const client = await connected();
      const results = ['a', 'b'].map((producerId) => client.request('producer.flowing', { producerId, withinMs: 0 }));
      const [first, second] = [await request(1), await request(2)];
      answer(line, { id: second.id, result: { flowing: true } });
      answer(line, { id: first.id, result: { flowing: false } });
      expect(await Promise.all(results)).toEqual([{ flowing: false }, { flowing: true }]);
    });

    it('and is refused with code and message', async () => {
      const client = await connected();
      const refused = fails(client.request('link.close', { linkId: 'l' }), 'not-found', /^no such link$/);
      answer(line, { id: (await request()).id, error: { code: 'not-found', message: 'no such link' } });
      await refused;
    });

    it('and takes no result that is not of the shape of its method', async () => {
      const client = await connected();
      const flowing = client.request('producer.flowing', { producerId: 'p', withinMs: 0 });
      const refused = fails(flowing, 'internal', /malformed response to producer\.flowing/);
      answer(line, { id: (await request()).id, result: { flowing: 'yes' } });
      await refused;
    });

    it('and goes on where an answer is to nothing that it has asked, or the second one', async () => {
      const client = await connected();
      const flowing = client.request('producer.flowing', { producerId: 'p', withinMs: 0 });
      const { id } = await request();
      answer(line, { id: 4711, result: { flowing: false } });
      answer(line, { id, result: { flowing: true } });
      answer(line, { id, result: { flowing: false } });
      expect(await flowing).toEqual({ flowing: true });
    });

    it('and drops what is no message of the protocol, with a line in the log and without its text', async () => {
      const client = await connected();
      const flowing = client.request('producer.flowing', { producerId: 'p', withinMs: 0 });
      const { id } = await request();
      const unknownCode = JSON.stringify({ id, error: { code: 'hunter2', message: '' } });
      const wrong = ['{', 'null', '[]', '{"id":"hunter2"}', unknownCode];
      for (const message of wrong) answer(line, message);
      line?.send(Buffer.from(JSON.stringify({ id, result: { flowing: false } })));
      answer(line, { id, result: { flowing: true } });
      expect(await flowing)
        .withContext('a binary message is none either')
        .toEqual({ flowing: true });
      expect(logged.length).toBe(wrong.length);
      expect(JSON.stringify(logged)).not.toContain('hunter2');
    });

    it('and hears that the line is lost, for each that is under way', async () => {
      const client = await connected();
      const lost = ['a', 'b'].map((linkId) =>
        fails(client.request('link.close', { linkId }), 'worker-lost', /lost before it responded to link\.close/),
      );
      await request(2);
      line?.terminate();
      await Promise.all(lost);
    });

    it('and does not ask again by itself over the next line', async () => {
      const client = await connected();
      const lost = fails(client.request('link.close', { linkId: 'l' }), 'worker-lost');
      await request();
      line?.terminate();
      await lost;
      await eventually(() => client.hello !== undefined, 'the greeting');
      const next = client.request('producer.flowing', { producerId: 'p', withinMs: 0 });
      const { id, method } = await request(2);
      expect(method).toBe('producer.flowing');
      answer(line, { id, result: { flowing: true } });
      await next;
    });

    it('for fifteen seconds, and an answer that comes later is dropped', async () => {
      const client = await connected();
      jasmine.clock().install();
      try {
        const asking = client.request('link.close', { linkId: 'l' });
        const failed = fails(asking, 'worker-lost', /did not respond to link\.close/);
        let settled = false;
        const settle = () => (settled = true);
        asking.then(settle, settle);
        while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
        jasmine.clock().tick(14_999);
        await Promise.resolve();
        expect(settled).toBeFalse();
        jasmine.clock().tick(1);
        await failed;
      } finally {
        jasmine.clock().uninstall();
      }
      answer(line, { id: asked[0]?.id, result: {} });
      const next = client.request('producer.flowing', { producerId: 'p', withinMs: 0 });
      answer(line, { id: (await request(2)).id, result: { flowing: true } });
      expect(await next).toEqual({ flowing: true });
    });
  });

  describe('is notified', () => {
    const closed = (consumerId: string) => ({
      notification: 'consumer.closed',
      data: { consumerId, transportId: 't' },
    });

    it('in order, and each handler of its own name only', async () => {
      const client = await connected();
      const heard: string[] = [];
      client.on('consumer.closed', ({ consumerId }) => heard.push(consumerId));
      client.on('producer.closed', ({ producerId }) => heard.push(producerId));
      for (const id of ['a', 'b']) answer(line, closed(id));
      answer(line, { notification: 'producer.closed', data: { conferenceId: '!r', producerId: 'p' } });
      answer(line, closed('c'));
      await eventually(() => heard.length === 4);
      expect(heard).toEqual(['a', 'b', 'p', 'c']);
    });

    it('of the end of something only when it knows that something', async () => {
      const client = await connected();
      const order: string[] = [];
      client.on('consumer.closed', ({ consumerId }) => order.push(`closed ${consumerId}`));
      const flowing = client
        .request('producer.flowing', { producerId: 'p', withinMs: 0 })
        .then(() => order.push('answered'));
      const { id } = await request();
      answer(line, { id, result: { flowing: true } });
      answer(line, closed('c'));
      await flowing;
      await eventually(() => order.length === 2);
      expect(order).toEqual(['answered', 'closed c']);
    });

    it('of nothing that is malformed, which is logged by its name, nor of what is newer, which is not', async () => {
      const client = await connected();
      const heard: string[] = [];
      client.on('consumer.closed', ({ consumerId }) => heard.push(consumerId));
      answer(line, { notification: 'consumer.closed', data: { consumerId: '', transportId: 't' } });
      for (const notification of ['of a newer SFU', '__proto__', 'toString']) answer(line, { notification, data: {} });
      answer(line, closed('good'));
      await eventually(() => heard.length > 0);
      expect(heard).toEqual(['good']);
      expect(logged).toEqual([{ details: { name: 'consumer.closed' }, message: 'sfu client: malformed message' }]);
    });

    it('by all handlers, also when one of them throws', async () => {
      const client = await connected();
      const heard: string[] = [];
      client.on('consumer.closed', () => {
        throw new Error('for this spec');
      });
      client.on('consumer.closed', ({ consumerId }) => heard.push(consumerId));
      answer(line, closed('a'));
      answer(line, closed('b'));
      await eventually(() => heard.length === 2);
      expect(logged.map(({ message }) => message)).toEqual(Array(2).fill('sfu client: a handler failed'));
    });

    it('no more after it has removed its handler', async () => {
      const client = await connected();
      const heard: string[] = [];
      const remove = client.on('consumer.closed', ({ consumerId }) => heard.push(`first ${consumerId}`));
      client.on('consumer.closed', ({ consumerId }) => heard.push(consumerId));
      remove();
      answer(line, closed('a'));
      await eventually(() => heard.length > 0);
      expect(heard).toEqual(['a']);
    });
  });

  describe('that is closed', () => {
    it('fails what is under way, and takes no more', async () => {
      const client = await connected();
      const lost = fails(client.request('link.close', { linkId: 'l' }), 'worker-lost');
      client.close();
      await lost;
      expect(client.hello).toBeUndefined();
      await fails(client.request('stats', {}), 'worker-lost');
    });

    it('does not come back', async () => {
      const client = await connected();
      const ended = line && once(line, 'close');
      jasmine.clock().install();
      try {
        client.close();
        await ended;
        jasmine.clock().tick(60_000);
      } finally {
        jasmine.clock().uninstall();
      }
      await connected();
      expect(upgrades.length).withContext('its own, and that of the next client').toBe(2);
    });

    it('while it connects or greets has nothing to complain of', async () => {
      const ended: Promise<unknown>[] = [];
      greet = (of) => ended.push(once(of, 'close'));
      connect().close();
      const greeting = connect();
      await eventually(() => ended.length === 1, 'a greeting');
      greeting.close();
      await ended[0];
      await new Promise((resolve) => setImmediate(resolve));
      expect(logged).toEqual([]);
    });
  });

  it('needs a path or an address', () => {
    const log = { info: () => undefined, warn: () => undefined };
    expect(() => new SfuClient({ secret: SECRET, log })).toThrowError(TypeError, /socket path or an address/);
  });

  for (const name of ['with space.sock', 'a:b.sock', '50%.sock', 'a?b#c.sock', 'ü.sock']) {
    it(`reaches a socket whose path has letters that mean something in a URL: ${name}`, async () => {
      path = join(folder, name);
      const other = createServer();
      other.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        sfu.handleUpgrade(request, socket, head, (webSocket) => sfu.emit('connection', webSocket, request));
      });
      other.listen(path);
      await once(other, 'listening');
      try {
        expect((await connected()).hello).toEqual(HELLO);
      } finally {
        other.close();
      }
    });
  }

  it('reaches an address of loopback TCP', async () => {
    const other = createServer();
    const sockets = new WebSocketServer({ server: other });
    sockets.on('connection', (socket) => socket.on('message', () => answer(socket, { id: 1, result: HELLO })));
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    path = `127.0.0.1:${String(typeof address === 'object' ? address?.port : 0)}`;
    try {
      expect((await connected()).hello).toEqual(HELLO);
    } finally {
      for (const socket of sockets.clients) socket.terminate();
      other.close();
    }
  });
});

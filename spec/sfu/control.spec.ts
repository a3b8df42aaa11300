import { once } from 'node:events';
import { statSync } from 'node:fs';
import { WebSocket } from 'ws';
import { SfuError, type SfuClient } from '../../sfu/client.ts';
import { MAX_REQUEST_BYTES, sfuRequests } from '../../sfu/protocol.ts';
import { startSfu } from '../../sfu/server.ts';
import { BUILD_TIMEOUT, Instance, SECRET, connect, eventually, silent, workerBin } from './support.ts';

const CONFERENCE = '!control:luebeck.example';

describe('the control line of the SFU', () => {
  let instance: Instance;
  const sockets: WebSocket[] = [];
  const clients: SfuClient[] = [];

  beforeAll(workerBin, BUILD_TIMEOUT);

  beforeEach(async () => {
    instance = await Instance.start('127.0.0.2', { orphanGraceMs: 300 });
  });

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate();
    for (const client of clients.splice(0)) client.close();
    await instance.close();
  });

  function dial(authorization?: string): WebSocket {
    const headers = authorization === undefined ? {} : { authorization };
    const socket = new WebSocket(`ws+unix:${instance.controlPath}:/`, { headers });
    sockets.push(socket);
    return socket;
  }

  async function statusOf(socket: WebSocket): Promise<unknown> {
    socket.on('error', () => undefined);
    const [, response] = await once(socket, 'unexpected-response');
    return response.statusCode;
  }

  async function open(): Promise<WebSocket> {
    const socket = dial(`Bearer ${SECRET}`);
    await once(socket, 'open');
    return socket;
  }

  async function ask(socket: WebSocket, message: unknown): Promise<unknown> {
    socket.send(typeof message === 'string' ? message : JSON.stringify(message));
    const [data] = await once(socket, 'message');
    return JSON.parse(String(data));
  }

  it('is a socket that only its owner may open', () => {
    expect(statSync(instance.controlPath).mode & 0o777).toBe(0o600);
  });

  it('refuses who has no secret, or a wrong one', async () => {
    expect(await statusOf(dial())).toBe(401);
    expect(await statusOf(dial('Bearer '))).toBe(401);
    expect(await statusOf(dial(`Bearer ${SECRET}x`))).toBe(401);
    expect(await statusOf(dial(SECRET))).toBe(401);
    expect(instance.client.hello).withContext('the homeserver stays connected').toBeDefined();
  });

  it('closes a connection that sends what is no request, and serves the next one', async () => {
    for (const hostile of ['{', '[]', 'null', '{"id":"1","method":"hello"}', '{"id":-1,"method":"hello"}']) {
      const socket = await open();
      socket.send(hostile);
      const [code] = await once(socket, 'close');
      expect(code).withContext(hostile).toBe(1008);
    }
    const socket = await open();
    expect(await ask(socket, { id: 1, method: 'hello', params: { version: 1 } })).toEqual(
      jasmine.objectContaining({ id: 1, result: jasmine.anything() }),
    );
  });

  it('lets others have their turn between requests that come at once', async () => {
    const socket = await open();
    const order: string[] = [];
    let greeted = (): void => undefined;
    const hello = new Promise<void>((resolve) => (greeted = resolve));
    socket.on('message', () => greeted());
    socket.send(JSON.stringify({ id: 1, method: 'hello', params: { version: 1 } }));
    await hello;
    // In this process: it sees which parameters are read, and turns between that.
    const parse = sfuRequests.stats.params.parse.bind(sfuRequests.stats.params);
    spyOn(sfuRequests.stats.params, 'parse').and.callFake((value) => {
      order.push('request');
      return parse(value);
    });
    const turn = (): void => {
      order.push('turn');
      if (order.filter((what) => what === 'request').length < 20) setImmediate(turn);
    };
    socket.pause();
    for (let id = 2; id < 22; id += 1) socket.send(JSON.stringify({ id, method: 'stats', params: {} }));
    socket.resume();
    setImmediate(turn);
    await eventually(() => order.filter((what) => what === 'request').length === 20);
    expect(order.join(' ')).not.toContain('request request');
  });

  it('closes the line for a request that is too long, which the homeserver does not send', async () => {
    const params = {
      conferenceId: CONFERENCE,
      participantId: 'x'.repeat(MAX_REQUEST_BYTES),
      direction: 'send' as const,
    };
    await eventually(() => instance.client.hello !== undefined);
    let error: unknown;
    try {
      await instance.client.request('transport.create', params);
    } catch (caught) {
      error = caught;
    }
    expect(error instanceof SfuError && error.code).toBe('bad-request');
    expect((await instance.client.request('stats', {})).links).toEqual([]);
    const socket = await open();
    socket.send(JSON.stringify({ id: 1, method: 'hello', params }));
    const [code] = await once(socket, 'close');
    expect(code).toBe(1009);
  });

  it('answers nothing before hello, and refuses another version', async () => {
    const socket = await open();
    expect(await ask(socket, { id: 1, method: 'stats', params: {} })).toEqual({
      id: 1,
      error: jasmine.objectContaining({ code: 'bad-request' }),
    });
    expect(await ask(socket, { id: 2, method: 'hello', params: { version: 99 } })).toEqual({
      id: 2,
      error: jasmine.objectContaining({ code: 'unsupported' }),
    });
  });

  it('answers a malformed request with bad-request, naming places and no values', async () => {
    const socket = await open();
    await ask(socket, { id: 1, method: 'hello', params: { version: 1 } });
    for (const method of ['no.such', '__proto__', 'constructor', 'toString']) {
      expect(await ask(socket, { id: 2, method, params: {} })).toEqual({
        id: 2,
        error: { code: 'bad-request', message: 'no such method' },
      });
    }
    const params = { transportId: 'x', dtlsParameters: { fingerprints: [], secret: 'very-secret' } };
    expect(await ask(socket, { id: 3, method: 'transport.connect', params })).toEqual({
      id: 3,
      error: { code: 'bad-request', message: 'malformed: dtlsParameters.fingerprints' },
    });
  });

  it('answers with not-found for what is not there', async () => {
    const refused = (promise: Promise<unknown>) =>
      expectAsync(promise).toBeRejectedWith(jasmine.objectContaining({ code: 'not-found' }));
    const { client } = instance;
    await refused(client.request('transport.close', { transportId: 'x' }));
    await refused(client.request('producer.pause', { producerId: 'x' }));
    await refused(client.request('consumer.resume', { consumerId: 'x' }));
    await refused(client.request('link.send', { linkId: 'x', producerId: 'x' }));
    await refused(
      client.request('transport.create', { conferenceId: CONFERENCE, participantId: 'p', direction: 'send' }),
    );
  });

  it('gives the place to a new connection and closes the old one', async () => {
    const first = await open();
    const closed = once(first, 'close');
    const second = await open();
    expect((await closed)[0]).toBe(1008);
    expect(second.readyState).toBe(WebSocket.OPEN);
  });

  it('finds everything again in the snapshot after a break', async () => {
    const states: boolean[] = [];
    instance.client.onState(({ connected }) => states.push(connected));
    const { instanceId } = instance.client.hello ?? {};
    await instance.client.request('conference.open', { conferenceId: CONFERENCE });
    const { id: transportId } = await instance.client.request('transport.create', {
      conferenceId: CONFERENCE,
      participantId: '@bert:luebeck.example',
      direction: 'send',
    });
    const intruder = await open();
    await eventually(() => instance.client.hello === undefined);
    intruder.terminate();
    await instance.connected();
    expect(states).toEqual([true, false, true]);
    expect(instance.client.hello?.instanceId).toBe(instanceId);
    expect(instance.client.hello?.snapshot.conferences).toEqual([
      {
        conferenceId: CONFERENCE,
        transports: [{ transportId, participantId: '@bert:luebeck.example', direction: 'send' }],
        producers: [],
        consumers: [],
        links: [],
      },
    ]);
  });

  it('fails requests while there is no line, and those under way when it breaks', async () => {
    const client = connect('/nowhere/control.sock');
    clients.push(client);
    await expectAsync(client.request('stats', {})).toBeRejectedWith(jasmine.any(SfuError));
    const underWay = instance.client.request('conference.open', { conferenceId: CONFERENCE });
    const failure = expectAsync(underWay).toBeRejectedWith(jasmine.objectContaining({ code: 'worker-lost' }));
    await instance.running.close();
    await failure;
  });

  it('closes all media when no homeserver comes back within the grace time, and not before', async () => {
    await instance.client.request('conference.open', { conferenceId: CONFERENCE });
    instance.client.close();
    expect(instance.running.sfu.conferences.size).toBe(1);
    await eventually(() => instance.running.sfu.conferences.size === 0);
  });

  it('does not take the socket of an SFU that runs', async () => {
    await expectAsync(
      startSfu(
        { ...instance.config, probePort: instance.config.probePort + 1, webRtcPort: instance.config.webRtcPort + 1 },
        silent,
      ),
    ).toBeRejectedWith(jasmine.objectContaining({ code: 'conflict' }));
    expect(await instance.client.request('stats', {})).toBeDefined();
  });
});

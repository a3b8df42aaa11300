import { skip } from 'rxjs';
import type { NotificationName } from '../../../../protocol/session.ts';
import { type ConnectionOptions, type ConnectionState, SessionConnection, type Socket } from './connection.ts';
import { SessionError } from './session-error.ts';

interface Sent {
  id: number;
  method: string;
  params: Record<string, unknown>;
}

/** The server's end of a WebSocket: it has what the client sent and answers as the spec tells it to. */
class ServerEnd implements Socket {
  readonly sent: Sent[] = [];
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;

  send(frame: string): void {
    this.sent.push(JSON.parse(frame) as Sent);
  }

  close(): void {}

  accept(): void {
    this.onopen?.call(this as unknown as WebSocket, new Event('open'));
  }

  say(frame: unknown): void {
    const data = typeof frame === 'string' ? frame : JSON.stringify(frame);
    this.onmessage?.call(this as unknown as WebSocket, new MessageEvent('message', { data }));
  }

  drop(): void {
    this.onclose?.call(this as unknown as WebSocket, new CloseEvent('close'));
  }

  hello(sessionId: string, resumed: boolean): void {
    const hello = this.sent.find(({ method }) => method === 'hello');
    this.say({
      id: hello?.id,
      result: {
        sessionId,
        userId: '@bert:luebeck.example',
        deviceId: 'D',
        displayName: 'Bert',
        organisation: { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#a3262f' },
        resumed,
        guest: false,
      },
    });
  }

  request(method: string): Sent {
    const found = this.sent.find((sent) => sent.method === method);
    if (!found) throw new Error(`${method} was not sent`);
    return found;
  }
}

describe('Reconnect: the session connection', () => {
  let sockets: ServerEnd[];
  let states: ConnectionState[];
  let sessions: string[];
  let heard: NotificationName[];
  let tokens: (string | undefined)[];
  let token: string | undefined;
  let connection: SessionConnection;

  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));
  const server = async (index: number): Promise<ServerEnd> => {
    for (let tries = 0; tries < 400 && !sockets[index]; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    const socket = sockets[index];
    if (!socket) throw new Error('the client did not connect');
    return socket;
  };
  const open = async (): Promise<ServerEnd> => {
    connection.start();
    const socket = await server(0);
    socket.accept();
    socket.hello('s1', false);
    return socket;
  };

  beforeEach(() => {
    sockets = [];
    states = [];
    sessions = [];
    heard = [];
    tokens = [];
    token = 'good';
    const options: ConnectionOptions = {
      open: () => {
        const socket = new ServerEnd();
        sockets.push(socket);
        return socket;
      },
      accessToken: (refused) => {
        tokens.push(refused);
        return Promise.resolve(token);
      },
    };
    connection = new SessionConnection(options);
    connection.states.pipe(skip(1)).subscribe((state) => states.push(state));
    connection.newSessions.subscribe(({ sessionId }) => sessions.push(sessionId));
    connection.notifications.subscribe(({ name }) => heard.push(name));
  });

  afterEach(() => connection.close());

  it('says hello with the token first, and sends waiting requests only after the answer', async () => {
    connection.start();
    const answer = connection.request('ping', {});
    const socket = await server(0);
    socket.accept();
    expect(socket.sent.map(({ method }) => method)).toEqual(['hello']);
    expect(socket.request('hello').params).toEqual({ version: 1, accessToken: 'good' });
    socket.hello('s1', false);
    socket.say({ id: socket.request('ping').id, result: {} });
    await expectAsync(answer).toBeResolvedTo({});
    expect(states).toEqual(['connecting', 'open']);
    expect(sessions).toEqual(['s1']);
  });

  it('comes back with the last number it has seen, and takes no notification twice', async () => {
    const first = await open();
    first.say({ seq: 1, notification: 'meetings.changed', data: {} });
    first.say({ seq: 2, notification: 'meetings.changed', data: {} });
    first.drop();
    const second = await server(1);
    second.accept();
    expect(second.request('hello').params['resume']).toEqual({ sessionId: 's1', lastSeq: 2 });
    second.hello('s1', true);
    second.say({ seq: 2, notification: 'meetings.changed', data: {} });
    second.say({ seq: 3, notification: 'meetings.changed', data: {} });
    expect(heard.length).toBe(3);
    expect(sessions).toEqual(['s1']);
    expect(states).toEqual(['connecting', 'open', 'lost', 'open']);
  });

  it('asks again what was not answered before the drop', async () => {
    const first = await open();
    const answer = connection.request('media.pause', { source: 'camera' });
    const { id } = first.request('media.pause');
    first.drop();
    const second = await server(1);
    second.accept();
    second.hello('s1', true);
    expect(second.request('media.pause').id).toBe(id);
    second.say({ id, result: {} });
    await expectAsync(answer).toBeResolved();
  });

  it('gives up what belonged to a session that the server has forgotten, but still delivers chat messages', async () => {
    const first = await open();
    const pause = connection.request('media.pause', { source: 'camera' });
    const pauseFails = expectAsync(pause).toBeRejectedWithError(SessionError);
    const chat = connection.request('chat.send', { roomId: '!r', transactionId: 't', body: 'Moin' });
    first.say({ seq: 7, notification: 'meetings.changed', data: {} });
    first.drop();
    const second = await server(1);
    second.accept();
    second.hello('s2', false);
    await pauseFails;
    expect(sessions).toEqual(['s1', 's2']);
    second.say({ id: second.request('chat.send').id, result: { eventId: '$e', position: [1, 1] } });
    await expectAsync(chat).toBeResolvedTo({ eventId: '$e', position: [1, 1] });
    second.say({ seq: 1, notification: 'meetings.changed', data: {} });
    expect(heard.length).toBe(2);
  });

  it('renews a refused token once and then asks for a new log-in', async () => {
    connection.start();
    for (const index of [0, 1]) {
      const socket = await server(index);
      socket.accept();
      socket.say({ id: socket.request('hello').id, error: { code: 'unauthorised', message: 'no' } });
      await settle();
    }
    expect(tokens).toEqual([undefined, 'good']);
    expect(connection.state).toBe('refused');
    await expectAsync(connection.request('ping', {})).toBeRejectedWithError(SessionError);
  });

  it('refuses an answer that is not of the agreed shape', async () => {
    const socket = await open();
    const answer = connection.request('chat.send', { roomId: '!r', transactionId: 't', body: 'Moin' });
    socket.say({ id: socket.request('chat.send').id, result: { eventId: 7 } });
    const error = await answer.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error instanceof SessionError && error.code).toBe('unexpected-answer');
  });

  it('goes on after frames that are no frames and notifications that it does not know', async () => {
    const socket = await open();
    socket.say('{');
    socket.say({ seq: 1, notification: 'constructor', data: {} });
    socket.say({ seq: 2, notification: 'speaking', data: { participantIds: 'all' } });
    socket.say({ seq: 3, notification: 'speaking', data: { participantIds: [] } });
    expect(heard).toEqual(['speaking']);
    expect(connection.state).toBe('open');
  });

  it('tells the code, the organisation and the reference of a refusal', async () => {
    const socket = await open();
    const answer = connection.request('ping', {});
    const error = {
      code: 'organisation-unreachable',
      message: 'x',
      organisation: 'hamburg.example',
      reference: 'ab12',
    };
    socket.say({ id: socket.request('ping').id, error });
    const reason = await answer.then(
      () => undefined,
      (thrown: unknown) => thrown as SessionError,
    );
    expect(reason?.code).toBe('organisation-unreachable');
    expect(reason?.organisation).toBe('hamburg.example');
    expect(reason?.reference).toBe('ab12');
  });
});

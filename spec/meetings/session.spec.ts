import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';
import { Session } from '../../homeserver/meetings/session/session.ts';

const owner = { userId: '@bert:luebeck.example', deviceId: 'LAPTOP', guest: false };

/** Two ends of a real WebSocket. */
async function sockets(): Promise<{ server: WebSocket; client: WebSocket; frames: unknown[]; close(): Promise<void> }> {
  const listener = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(listener, 'listening');
  const address = listener.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  const accepted = once(listener, 'connection');
  const client = new WebSocket(`ws://127.0.0.1:${String(address.port)}`);
  const frames: unknown[] = [];
  client.on('message', (data) => frames.push(JSON.parse((data as Buffer).toString())));
  await once(client, 'open');
  const [server] = (await accepted) as [WebSocket];
  return {
    server,
    client,
    frames,
    async close() {
      client.terminate();
      server.terminate();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !condition(); tries += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBeTrue();
}

describe('Reconnect: a session', () => {
  it('numbers its notifications and sends again exactly those that the client has not seen', async () => {
    const session = new Session(owner, () => undefined);
    const first = await sockets();
    session.attach(first.server);
    session.notify('meetings.changed', {});
    await until(() => first.frames.length === 1);
    session.detach(first.server);
    session.notify('speaking', { participantIds: [] });
    session.notify('meetings.changed', {});
    expect(session.canResume(1)).toBeTrue();

    const second = await sockets();
    session.attach(second.server);
    session.replay(1);
    await until(() => second.frames.length === 2);
    expect(second.frames).toEqual([
      { seq: 2, notification: 'speaking', data: { participantIds: [] } },
      { seq: 3, notification: 'meetings.changed', data: {} },
    ]);
    session.close(1000, 'end');
    await first.close();
    await second.close();
  });

  it('can not be resumed by a client that missed more than is kept, or claims to have seen the future', () => {
    const session = new Session(owner, () => undefined);
    for (let count = 0; count < 600; count += 1) session.notify('meetings.changed', {});
    expect(session.canResume(50)).toBeFalse();
    expect(session.canResume(601)).toBeFalse();
    expect(session.canResume(599)).toBeTrue();
    session.close(1000, 'end');
  });

  it('is taken over by a newer connection, and the end of the older one does not end it', async () => {
    const session = new Session(owner, () => undefined);
    const first = await sockets();
    const second = await sockets();
    session.attach(first.server);
    session.attach(second.server);
    expect(session.detach(first.server)).toBeFalse();
    session.notify('meetings.changed', {});
    await until(() => second.frames.length === 1);
    expect(first.frames).toEqual([]);
    session.close(1000, 'end');
    await first.close();
    await second.close();
  });

  describe('on time that the spec moves', () => {
    /** What a session does to a connection. */
    class FakeSocket {
      readonly OPEN = 1;
      readyState = 1;
      bufferedAmount = 0;
      terminated = false;
      readonly frames: unknown[] = [];
      readonly closed: [number, string][] = [];
      send(frame: string): void {
        this.frames.push(JSON.parse(frame));
      }
      close(code: number, reason: string): void {
        this.closed.push([code, reason]);
      }
      terminate(): void {
        this.terminated = true;
      }
    }
    const connect = (session: Session): { socket: FakeSocket; connection: WebSocket } => {
      const socket = new FakeSocket();
      const connection = socket as unknown as WebSocket;
      session.attach(connection);
      return { socket, connection };
    };
    let expired: Session[];
    let session: Session;

    beforeEach(() => {
      jasmine.clock().install();
      expired = [];
      session = new Session(owner, (ended) => expired.push(ended));
    });
    afterEach(() => {
      session.close(1000, 'end');
      jasmine.clock().uninstall();
    });

    it('waits six seconds for its client, and ends then, once', () => {
      const { connection } = connect(session);
      expect(session.detach(connection)).toBeTrue();
      expect([session.attached, session.ended]).toEqual([false, false]);
      jasmine.clock().tick(5_999);
      expect(expired).toEqual([]);
      jasmine.clock().tick(1);
      expect(expired).toEqual([session]);
      expect(session.ended).toBeTrue();
      expect(session.canResume(0)).toBeFalse();
      jasmine.clock().tick(60_000);
      expect(expired.length).toBe(1);
    });

    it('waits anew each time that its client drops', () => {
      for (let round = 0; round < 3; round += 1) {
        const { connection } = connect(session);
        jasmine.clock().tick(60_000);
        session.detach(connection);
        jasmine.clock().tick(5_000);
      }
      expect(expired).toEqual([]);
      jasmine.clock().tick(1_000);
      expect(expired).toEqual([session]);
    });

    it('says to an older connection that it was taken over', () => {
      const first = connect(session);
      connect(session);
      expect(first.socket.closed).toEqual([[4001, 'taken over']]);
      jasmine.clock().tick(60_000);
      expect(expired).withContext('the end of the older one starts no wait').toEqual([]);
    });

    it('keeps no more than 256 KiB of notifications, and sends all that it keeps', () => {
      const title = 'x'.repeat(32 * 1024);
      for (let n = 0; n < 10; n += 1) session.notify('conference.changed', { roomId: '!room', title, rights: [] });
      const { socket } = connect(session);
      expect([2, 3].map((seq) => session.canResume(seq))).toEqual([false, true]);
      session.replay(3);
      expect(socket.frames.map((frame) => (frame as { seq: number }).seq)).toEqual([4, 5, 6, 7, 8, 9, 10]);
    });

    it('counts characters outside of ASCII by their bytes', () => {
      // Three bytes each.
      const title = '€'.repeat(32 * 1024);
      for (let n = 0; n < 4; n += 1) session.notify('conference.changed', { roomId: '!room', title, rights: [] });
      expect([1, 2].map((seq) => session.canResume(seq))).toEqual([false, true]);
    });

    it('cuts off a client that does not read, and keeps for it what it has not got', () => {
      const { socket, connection } = connect(session);
      session.notify('meetings.changed', {});
      socket.bufferedAmount = 1024 * 1024 + 1;
      session.notify('meetings.changed', {});
      expect(socket.terminated).toBeTrue();
      expect(socket.frames.length).toBe(1);
      session.detach(connection);
      const next = connect(session);
      session.replay(1);
      expect(next.socket.frames).toEqual([{ seq: 2, notification: 'meetings.changed', data: {} }]);
    });

    it('writes nothing to a connection that is closing, and keeps it for the next one', () => {
      const { socket } = connect(session);
      socket.readyState = 2;
      session.notify('meetings.changed', {});
      session.answer(1, {});
      expect(socket.frames).toEqual([]);
      expect(session.canResume(0)).toBeTrue();
    });

    it('answers and refuses by the number of the request, and keeps neither', () => {
      const { socket } = connect(session);
      session.answer(7, { done: true });
      session.refuse(8, { code: 'forbidden', message: 'No.' });
      session.notify('meetings.changed', {});
      expect(socket.frames).toEqual([
        { id: 7, result: { done: true } },
        { id: 8, error: { code: 'forbidden', message: 'No.' } },
        { seq: 1, notification: 'meetings.changed', data: {} },
      ]);
      const next = connect(session);
      session.replay(0);
      expect(next.socket.frames).toEqual([{ seq: 1, notification: 'meetings.changed', data: {} }]);
    });

    it('ends for good when it is closed: it says why, tells nothing more and never expires', () => {
      const { socket, connection } = connect(session);
      session.detach(connection);
      session.attach(connection);
      session.close(4003, 'signed out');
      expect(socket.closed).toEqual([[4003, 'signed out']]);
      expect([session.ended, session.attached, session.canResume(0)]).toEqual([true, false, false]);
      session.notify('meetings.changed', {});
      expect(socket.frames).toEqual([]);
      expect(session.detach(connection)).withContext('its connection closes afterwards').toBeFalse();
      jasmine.clock().tick(60_000);
      expect(expired).toEqual([]);
    });

    it('never expires once it is closed while it waits for its client', () => {
      const { connection } = connect(session);
      session.detach(connection);
      session.close(4003, 'signed out');
      jasmine.clock().tick(60_000);
      expect(expired).toEqual([]);
    });
  });
});

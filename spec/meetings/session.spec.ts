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
});

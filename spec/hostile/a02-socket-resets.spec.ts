/** A connection that is reset or half closed at any stage, at any face, ends nothing but itself. */
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { startHomeservers } from '../support/homeservers.ts';
import type { TestFederation } from '../support/homeservers.ts';

const SESSION = '/_hansetag/client/v1/session';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** What a hostile client does with its socket after it has written. */
const ENDINGS: readonly ((socket: Socket, tcp: Socket) => void)[] = [
  (_socket, tcp) => tcp.resetAndDestroy(),
  (socket) => socket.destroy(),
  (socket) => socket.end(),
  (socket, tcp) => socket.once('data', () => tcp.resetAndDestroy()),
  (socket, tcp) => socket.end(() => tcp.resetAndDestroy()),
];

function upgrade(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

const OPENINGS: readonly [string, string][] = [
  ['an upgrade at an unknown path', upgrade('/nowhere')],
  ['an upgrade of a foreign page', upgrade(SESSION, { Origin: 'https://evil.example' })],
  ['an upgrade to HTTP/2', upgrade('/', { Upgrade: 'h2c' })],
  ['an upgrade without a key', upgrade(SESSION, { 'Sec-WebSocket-Key': '' })],
  ['a session', upgrade(SESSION)],
  ['a session with half a frame', `${upgrade(SESSION)}\u0001\u007f`],
  ['half a header', 'GET /_matrix/client/versions HT'],
  ['half a body', 'POST /_matrix/client/v3/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"type'],
  ['a request', 'GET /_matrix/client/versions HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['no HTTP', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000'],
  ['nothing', ''],
];

describe('A2: a socket that is reset or half closed', () => {
  let federation: TestFederation;

  beforeAll(async () => {
    federation = await startHomeservers(1, {
      HANSETAG_SFU_CONTROL: join(tmpdir(), 'hansetag-no-such-sfu.sock'),
      HANSETAG_SFU_SECRET: 'a secret of this spec only',
    });
  });
  afterAll(() => federation.close());

  for (const [opening, text] of OPENINGS) {
    it(`does not end the homeserver: ${opening}`, async () => {
      const [server] = federation.servers;
      if (!server) throw new Error('no server');
      const clientPort = Number(new URL(server.url).port);
      const federationPort = Number(server.serverName.split(':')[1]);
      const faults: unknown[] = [];
      const onFault = (error: unknown): void => void faults.push(error);
      const before = process.listeners('uncaughtException');
      process.removeAllListeners('uncaughtException');
      process.on('uncaughtException', onFault);
      try {
        for (const ending of ENDINGS) {
          for (const port of [clientPort, federationPort]) {
            const tcp = await connected(connectPlain(port, '127.0.0.1'), 'connect');
            await end(tcp, tcp, text, ending);
          }
          const tcp = connectPlain(federationPort, '127.0.0.1');
          const tls = await connected(connectTls({ socket: tcp, rejectUnauthorized: false }), 'secureConnect');
          await end(tls, tcp, text, ending);
        }
        // What is thrown in a listener of a socket comes a turn later.
        await new Promise((resolve) => setTimeout(resolve, 50));
      } finally {
        process.off('uncaughtException', onFault);
        for (const listener of before) process.on('uncaughtException', listener);
      }
      expect(faults).toEqual([]);
      expect((await server.ask('GET', 'client/versions')).status).toBe(200);
    });
  }
});

async function connected<S extends Socket>(socket: S, event: 'connect' | 'secureConnect'): Promise<S> {
  await new Promise<void>((resolve, reject) => {
    socket.once(event, resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Writes, ends the connection in a hostile way, and waits until it is gone or for a quarter of a second. */
async function end(socket: Socket, tcp: Socket, text: string, ending: (typeof ENDINGS)[number]): Promise<void> {
  for (const one of [socket, tcp]) one.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if (text !== '') await new Promise<void>((resolve) => socket.write(text, 'latin1', () => resolve()));
  ending(socket, tcp);
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 250))]);
  socket.destroy();
  tcp.destroy();
}

/** A20: names that lead to silence hold up who sends them, and nobody else. */
import { readFileSync } from 'node:fs';
import { request as ask } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

const NAMES = 60;
/** On loopback it stands for another network than that of honest servers. */
const ATTACKER = '127.0.0.66';

describe('A20: sixty silent names', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let silent: { readonly server: Server; readonly sockets: Set<Socket> }[];

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_RATE_LIMITS: 'on' });
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
    silent = await Promise.all(Array.from({ length: NAMES }, listenSilently));
  });
  afterAll(async () => {
    for (const { server: listener, sockets } of silent) {
      for (const socket of sockets) socket.destroy();
      listener.close();
    }
    await federation.close();
  });

  const claim = (name: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = ask({
        host: '127.0.0.1',
        port: Number(server.serverName.split(':')[1]),
        localAddress: ATTACKER,
        servername: 'localhost',
        ca: readFileSync(federation.tls.caFile),
        path: '/_matrix/federation/v1/query/directory?room_alias=%23a:b',
        headers: {
          Authorization: `X-Matrix origin="${name}",destination="${server.serverName}",key="ed25519:a",sig="${'A'.repeat(86)}"`,
        },
        agent: false,
      });
      request.on('response', (response) => resolve(response.resume().statusCode ?? 0));
      request.on('error', reject);
      request.end();
    });

  it('do not shut out servers that come for the first time', async () => {
    const names = silent.map(({ server: listener }) => `localhost:${String((listener.address() as AddressInfo).port)}`);
    const claims = names.map(claim);
    // Some are refused at once; the others wait for silence now.
    await Promise.race(claims);
    const peers = await Promise.all(Array.from({ length: 8 }, () => Peer.start(federation)));
    try {
      const path = 'v1/query/directory?room_alias=%23a:b';
      const answers = await Promise.all(peers.map((peer) => peer.ask(server.serverName, 'GET', path)));
      for (const answer of answers) expect(answer).toEqual(jasmine.objectContaining({ errcode: 'M_INVALID_PARAM' }));
      const statuses = await Promise.all(claims);
      expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(10);
      expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(NAMES - 10);
    } finally {
      await Promise.all(peers.map((peer) => peer.close()));
    }
  });
});

/** Takes connections and says nothing. */
async function listenSilently(): Promise<{ server: Server; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, sockets };
}

/** A20: names that lead to silence hold up who sends them, and nobody else. */
import { startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import { claim, silentName } from './kit/strangers.ts';
import type { SilentName } from './kit/strangers.ts';

const NAMES = 60;
/** On loopback it stands for another network than that of honest servers. */
const ATTACKER = '127.0.0.66';

describe('A20: sixty silent names', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let silent: SilentName[];

  beforeAll(async () => {
    federation = await startHomeservers(1, { HANSETAG_RATE_LIMITS: 'on' });
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
    silent = await Promise.all(Array.from({ length: NAMES }, silentName));
  });
  afterAll(async () => {
    for (const name of silent) name.close();
    await federation.close();
  });

  it('do not shut out servers that come for the first time', async () => {
    const reached = { ...server, tls: federation.tls };
    const claims = silent.map(({ name }) => claim(reached, name, ATTACKER));
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

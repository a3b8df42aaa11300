/** A20: names that lead to silence hold up who sends them, and nobody else. */
import { openDatabase } from '../../homeserver/database/database.ts';
import { testDatabase } from '../support/database.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import { claim, muteServer, silentName } from './kit/strangers.ts';
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

describe('A20: more mute strangers than are looked for at a time, from six networks', () => {
  const SLOTS = 50;
  const PER_ADDRESS = 10;
  const LONG_TEST_MS = 60_000;

  it(
    'do not keep out a server that is in a room with us and whose keys are not known yet',
    async () => {
      const database = await testDatabase();
      const federation = await startHomeservers(1, { HANSETAG_RATE_LIMITS: 'on', DATABASE_URL: database.url });
      const [server] = federation.servers as [TestHomeserver];
      const [neighbour, stranger] = await Promise.all([Peer.start(federation), Peer.start(federation)]);
      const mute = await Promise.all(Array.from({ length: SLOTS + PER_ADDRESS }, () => muteServer(federation.tls)));
      const claims: Promise<unknown>[] = [];
      try {
        const host = await server.register('host');
        const room = await host.must('POST', 'client/v3/createRoom', { preset: 'public_chat' });
        await neighbour.join(server.serverName, String(at(room, 'room_id')), neighbour.userId('nina'));
        await server.stop();
        const db = await openDatabase(database.url);
        await db.query('DELETE FROM server_keys');
        await db.close();
        await server.start();

        const reached = { ...server, tls: federation.tls };
        claims.push(
          ...mute.map(({ name }, index) =>
            claim(reached, name, `127.0.0.${String(66 + Math.floor(index / PER_ADDRESS))}`).catch(() => undefined),
          ),
        );
        await eventually(
          () => Promise.resolve(mute.filter(({ taken }) => taken > 0).length),
          (asked) => asked === SLOTS,
        );
        const path = 'v1/query/directory?room_alias=%23a:b';
        const [ofNeighbour, ofStranger] = await Promise.all(
          [neighbour, stranger].map((peer) => peer.ask(server.serverName, 'GET', path)),
        );
        expect(ofStranger)
          .withContext('all slots are taken')
          .toEqual({ ok: false, status: 401, errcode: 'M_UNAUTHORIZED' });
        expect(ofNeighbour).toEqual({ ok: false, status: 400, errcode: 'M_INVALID_PARAM' });
      } finally {
        for (const each of mute) each.close();
        await Promise.all(claims);
        await Promise.all([neighbour.close(), stranger.close()]);
        await federation.close();
        await database.close();
      }
    },
    LONG_TEST_MS,
  );
});

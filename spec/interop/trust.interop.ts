import { at, eventually, freePorts } from '../support/homeservers.ts';
import type { TestUser } from '../support/homeservers.ts';
import { Front } from '../trust/front.ts';
import { PATIENCE_MS, startTowns, Town } from '../trust/towns.ts';
import type { Towns } from '../trust/towns.ts';
import { create, hears, join, membership, room, say } from './support.ts';
import { startSynapse } from './synapse.ts';
import type { Synapse } from './synapse.ts';

const LONG_MS = 180_000;

describe('Trust by certificate: a stock Synapse', () => {
  let all: Towns;
  let hamburg: Town;
  let synapse: Synapse;
  /** Synapse behind its reverse proxy. */
  let kiel: Town;
  let anna: TestUser;
  let klara: TestUser;

  beforeAll(async () => {
    all = await startTowns(['Hamburg']);
    [hamburg] = all.towns as [Town];
    await hamburg.certify();
    const [port = 0] = await freePorts(1);
    synapse = await startSynapse({ tls: all.federation.tls, name: `localhost:${String(port)}` });
    const front = await Front.start(port, synapse.federationPort, all.federation);
    kiel = new Town({ server: synapse, front, keyFile: '', log: [] }, all.authority, 'Landeshauptstadt Kiel');
    [anna, klara] = await Promise.all([hamburg.server.register('anna'), synapse.register('klara')]);
  }, LONG_MS);
  afterAll(async () => {
    await kiel.front.close();
    await synapse.close();
    await all.close();
  });

  it(
    'is refused without a statement, with a reason that a person understands on both sides',
    async () => {
      const roomId = await create(anna, { preset: 'public_chat' });
      const entered = await join(klara, roomId, hamburg.server);
      expect(entered.status).toBe(403);
      expect(at(entered.body, 'error')).toBe(
        'This organisation does not federate with your server: your server serves no statement at /_hansetag/key/v1/statement.',
      );
      const line = await hamburg.judges(kiel, 'no-statement');
      expect(line?.['text']).toMatch(/There is no statement at https:.*install the certificate of their organisation/);
      const invited = await anna.ask('POST', room(roomId, 'invite'), { user_id: klara.userId });
      expect(invited.status).toBe(403);
      expect(at(invited.body, 'untrusted')).toBe('no-statement');
      expect(at(await hamburg.health(), 'trust')).toEqual({ mode: 'pki', refused: 1, reasons: { 'no-statement': 1 } });
    },
    LONG_MS,
  );

  it(
    'federates when its reverse proxy serves the statement',
    async () => {
      await kiel.certify();
      await hamburg.judges(kiel, 'trusted');
      const roomId = await create(anna, { preset: 'private_chat', invite: [klara.userId] });
      await eventually(
        () => join(klara, roomId, hamburg.server),
        ({ status }) => status === 200,
        PATIENCE_MS,
      );
      await say(klara, roomId, 'from Synapse');
      await say(anna, roomId, 'from Hansetag');
      await hears(anna, roomId, ['from Synapse', 'from Hansetag']);
      await hears(klara, roomId, ['from Synapse', 'from Hansetag']);
      const theirs = await create(klara, { preset: 'private_chat', invite: [anna.userId] });
      await eventually(
        () => join(anna, theirs, synapse),
        ({ status }) => status === 200,
        PATIENCE_MS,
      );
      expect(await membership(klara, theirs, anna)).toBe('join');
      expect(at(await hamburg.health(), 'trust')).toEqual({ mode: 'pki', refused: 0, reasons: {} });
    },
    LONG_MS,
  );
});

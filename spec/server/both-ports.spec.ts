import { startHomeservers } from '../support/homeservers.ts';
import type { TestFederation } from '../support/homeservers.ts';
import { sendLong } from '../hostile/kit/strangers.ts';

describe('What other servers ask', () => {
  let federation: TestFederation;
  beforeAll(async () => {
    // No media server runs: nothing here gets as far as one.
    federation = await startHomeservers(1, {
      HANSETAG_SFU_CONTROL: '/nowhere/sfu.sock',
      HANSETAG_SFU_SECRET: 'a secret of enough length',
    });
  });
  afterAll(() => federation.close());

  const deep = '['.repeat(600) + ']'.repeat(600);
  for (const [what, path, body] of [
    ['a transaction', '/_matrix/federation/v1/send/1', '{"pdus":[]}'],
    ['a transaction that is nested deeply', '/_matrix/federation/v1/send/2', `{"pdus":${deep}}`],
    ['a link', `/_hansetag/federation/v1/conference/${encodeURIComponent('!room')}/link/1`, '{}'],
    ['something that there is not', '/_hansetag/federation/v1/nothing', '{}'],
  ] as const) {
    it(`is answered in the same way at the port for people: ${what}`, async () => {
      const [server] = federation.servers;
      if (!server) throw new Error('There is no server.');
      const reached = { ...server, tls: federation.tls };
      const [forServers, forPeople] = await Promise.all(
        (['federation', 'client'] as const).map((face) => sendLong(reached, { face, path, body })),
      );
      expect(forPeople).toEqual(forServers);
      expect(forServers?.status).toBe(what.startsWith('something') ? 404 : 401);
    });
  }
});

import { at, eventually } from '../support/homeservers.ts';
import type { TestUser } from '../support/homeservers.ts';
import { hansetag, SessionClient } from '../support/meetings.ts';
import { seen, sees } from '../support/two-cities.ts';
import type { Present } from '../support/two-cities.ts';
import { PATIENCE_MS, startTowns } from './towns.ts';
import type { Town, Towns } from './towns.ts';

const LONG_MS = 120_000;

describe('Trust by certificate: an organisation that is not trusted, in a meeting', () => {
  let all: Towns;
  let hamburg: Town;
  let luebeck: Town;
  let anna: TestUser;
  let bert: TestUser;
  let roomId: string;

  beforeAll(async () => {
    // Lübeck trusts everybody: what is refused is refused by Hamburg.
    all = await startTowns(['Hamburg', 'Lübeck'], { meetings: true, trust: (index) => (index === 0 ? 'pki' : 'open') });
    [hamburg, luebeck] = all.towns as [Town, Town];
    await hamburg.certify();
    [anna, bert] = await Promise.all([hamburg.server.register('anna'), luebeck.server.register('bert')]);
  }, LONG_MS);
  afterAll(() => all.close());

  beforeEach(async () => {
    await luebeck.certifyForSeconds(6_000);
    hamburg.log.length = 0;
    await hamburg.restart();
    const plan = { title: 'Deich', invite: [bert.userId] };
    const made = await hansetag(hamburg.server, anna.token, 'POST', 'meetings', plan);
    roomId = String(at(made.body, 'roomId'));
    await eventually(
      () =>
        hansetag(luebeck.server, bert.token, 'POST', `meetings/${encodeURIComponent(roomId)}/answer`, {
          answer: 'accept',
        }),
      ({ status }) => status === 200,
      PATIENCE_MS,
    );
  }, LONG_MS);

  async function present(town: Town, who: TestUser): Promise<Present> {
    const client = await SessionClient.open(town.server, who);
    const snapshot = await client.ask('conference.join', { roomId });
    return { client, me: snapshot.me, snapshot };
  }
  const linked = ({ client }: Present, town: Town): Promise<unknown> =>
    client.hears(
      'link.changed',
      ({ organisation, state }) => organisation === town.serverName && state === 'connected',
      PATIENCE_MS,
    );

  it(
    'ends its link and takes its people out when the trust ends, says why, and brings them back with it',
    async () => {
      const a = await present(hamburg, anna);
      const b = await present(luebeck, bert);
      try {
        await sees(a, b.me, (person) => person !== undefined);
        await linked(a, luebeck);
        expect(a.snapshot.untrusted).toEqual([]);

        luebeck.front.statement = undefined;
        const { organisations } = await a.client.hears(
          'organisations.untrusted',
          ({ organisations: now }) => now.length > 0,
          PATIENCE_MS,
        );
        expect(organisations).toEqual([
          {
            organisation: luebeck.serverName,
            reason: 'no-statement',
            people: [{ userId: bert.userId, displayName: 'bert' }],
            count: 1,
          },
        ]);
        await sees(a, b.me, (person) => person === undefined);
        // The other side learns that the link is gone as it does when the server is away.
        await b.client.hears(
          'link.changed',
          ({ organisation, state }) => organisation === hamburg.serverName && state === 'interrupted',
          PATIENCE_MS,
        );
        expect(seen(a, b.me)).withContext('a renewed membership does not bring anybody in').toBeUndefined();

        a.client.told.length = 0;
        await luebeck.certifyForSeconds(60_000);
        await a.client.hears('organisations.untrusted', ({ organisations: now }) => now.length === 0, PATIENCE_MS);
        await sees(a, b.me, (person) => person !== undefined);
        await linked(a, luebeck);
      } finally {
        a.client.close();
        b.client.close();
      }
    },
    LONG_MS,
  );

  it(
    'is named to whoever enters, counts for nobody, and can neither be invited nor followed',
    async () => {
      const b = await present(luebeck, bert);
      const invited = await hansetag(luebeck.server, bert.token, 'POST', 'meetings', {
        title: 'In Lübeck',
        invite: [anna.userId],
      });
      const there = String(at(invited.body, 'roomId'));
      try {
        luebeck.front.statement = undefined;
        await hamburg.judges(luebeck, 'no-statement');
        const a = await present(hamburg, anna);
        try {
          expect(a.snapshot.participants.map(({ participantId }) => participantId)).toEqual([a.me]);
          expect(a.snapshot.links).toEqual([]);
          expect(a.snapshot.untrusted.map(({ organisation, reason }) => [organisation, reason])).toEqual([
            [luebeck.serverName, 'no-statement'],
          ]);
          const list = await hansetag(hamburg.server, anna.token, 'GET', 'meetings');
          const meetings = at(list.body, 'meetings') as unknown[];
          expect(
            at(
              meetings.find((one) => at(one, 'roomId') === roomId),
              'liveCount',
            ),
          ).toBe(1);

          const path = `meetings/${encodeURIComponent(roomId)}/invitations`;
          const userIds = [`@else:${luebeck.serverName}`];
          const answer = await hansetag(hamburg.server, anna.token, 'POST', path, { userIds });
          expect(JSON.stringify(answer.body)).toContain('"outcome":"untrusted"');
          expect(JSON.stringify(answer.body)).toContain('"reason":"no-statement"');

          // An invitation from the time when it was trusted.
          const accepted = await hansetag(
            hamburg.server,
            anna.token,
            'POST',
            `meetings/${encodeURIComponent(there)}/answer`,
            { answer: 'accept' },
          );
          expect(accepted.status).toBe(403);
          expect(at(accepted.body, 'untrusted')).toBe('no-statement');
          expect(at(accepted.body, 'organisation')).toBe(luebeck.serverName);
        } finally {
          a.client.close();
        }
      } finally {
        b.client.close();
      }
    },
    LONG_MS,
  );
});

import { writeFileSync } from 'node:fs';
import type { Issued } from '../../deploy/authority/authority.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { TestUser } from '../support/homeservers.ts';
import { PATIENCE_MS, startTowns } from './towns.ts';
import type { Town, Towns } from './towns.ts';

const LONG_MS = 120_000;

const path = (roomId: string, rest: string): string => `client/v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
let messages = 0;
async function say(who: TestUser, roomId: string, body: string): Promise<void> {
  messages += 1;
  await who.must('PUT', path(roomId, `send/m.room.message/${String(messages)}`), { msgtype: 'm.text', body });
}
async function bodies(who: TestUser, roomId: string): Promise<unknown[]> {
  const chunk = at(await who.must('GET', path(roomId, 'messages?dir=b&limit=50')), 'chunk') as unknown[];
  return chunk.map((event) => at(event, 'content', 'body')).filter(Boolean);
}
async function reads(who: TestUser, roomId: string, body: string): Promise<void> {
  await eventually(
    () => bodies(who, roomId),
    (all) => all.includes(body),
    PATIENCE_MS,
  );
}
async function createRoom(who: TestUser, options: object = {}): Promise<string> {
  return String(at(await who.must('POST', 'client/v3/createRoom', { preset: 'public_chat', ...options }), 'room_id'));
}
const enter = (who: TestUser, roomId: string, via: Town): Promise<unknown> =>
  who.must('POST', `client/v3/join/${encodeURIComponent(roomId)}?via=${encodeURIComponent(via.serverName)}`, {});

describe('Trust by certificate: two instances', () => {
  let all: Towns;
  let hamburg: Town;
  let luebeck: Town;
  let anna: TestUser;
  let bert: TestUser;
  /** Of Hamburg, with both; entered while both were trusted. */
  let shared: string;

  beforeAll(async () => {
    all = await startTowns(['Hamburg', 'Lübeck']);
    [hamburg, luebeck] = all.towns as [Town, Town];
    await Promise.all(all.towns.map((town) => town.certify()));
    [anna, bert] = await Promise.all([hamburg.server.register('anna'), luebeck.server.register('bert')]);
    shared = await createRoom(anna);
    await enter(bert, shared, hamburg);
  }, LONG_MS);
  afterAll(() => all.close());

  /** Hamburg judges Lübeck anew, and Lübeck tries again to deliver what waits for Hamburg. */
  async function judgedAnew(): Promise<void> {
    luebeck.log.length = 0;
    await hamburg.restart();
    await luebeck.restart();
  }
  const trustOf = async (town: Town): Promise<unknown> => at(await town.health(), 'trust');

  /** That Hamburg refuses Lübeck, and what both say of it. @returns what Bert said meanwhile */
  async function isRefused(reason: string, sentence: RegExp, advice: RegExp): Promise<string> {
    // The key is found out with the first request; everything else when the statement is judged.
    if (reason !== 'key-not-listed') await hamburg.judges(luebeck, reason);
    messages += 1;
    const unheard = `refused ${String(messages)}`;
    await say(bert, shared, unheard);
    const room = await createRoom(bert);
    const invited = await bert.ask('POST', path(room, 'invite'), { user_id: anna.userId });
    expect(invited.status).toBe(403);
    expect(at(invited.body, 'errcode')).toBe('M_FORBIDDEN');
    expect(at(invited.body, 'error')).withContext('what Lübeck is told').toMatch(sentence);
    const inviting = await anna.ask('POST', path(shared, 'invite'), { user_id: `@else:${luebeck.serverName}` });
    expect(inviting.status).toBe(403);
    expect(at(inviting.body, 'untrusted')).withContext('what Anna is told').toBe(reason);
    const line = await hamburg.judges(luebeck, reason);
    expect(line?.['level']).withContext("Hamburg's log").toBe(40);
    expect(line?.['text']).toMatch(advice);
    const waits = await eventually(
      // The first attempts may find Hamburg just starting.
      () => Promise.resolve(luebeck.log.findLast(({ msg }) => msg === 'a transaction was not delivered')),
      (found) => sentence.test(String(found?.['reason'])),
      PATIENCE_MS,
    );
    expect(waits?.['reason']).withContext("Lübeck's log").toMatch(sentence);
    expect(await trustOf(hamburg)).toEqual({ mode: 'pki', refused: 1, reasons: { [reason]: 1 } });
    expect(await trustOf(luebeck))
      .withContext('Lübeck trusts Hamburg')
      .toEqual({ mode: 'pki', refused: 0, reasons: {} });
    expect(JSON.stringify(await hamburg.health()))
      .withContext('who is refused')
      .not.toContain(luebeck.serverName);
    expect(await bodies(anna, shared)).not.toContain(unheard);
    return unheard;
  }

  it(
    'accepts an instance with a certificate of an authority that it trusts',
    async () => {
      await luebeck.certify();
      hamburg.log.length = 0;
      await judgedAnew();
      await say(anna, shared, 'from Hamburg');
      await say(bert, shared, 'from Lübeck');
      await reads(bert, shared, 'from Hamburg');
      await reads(anna, shared, 'from Lübeck');
      expect(hamburg.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
      expect(await trustOf(hamburg)).toEqual({ mode: 'pki', refused: 0, reasons: {} });
      expect(await trustOf(luebeck)).toEqual({ mode: 'pki', refused: 0, reasons: {} });
    },
    LONG_MS,
  );

  it(
    'says who became trusted, and under which name',
    async () => {
      luebeck.front.statement = undefined;
      await judgedAnew();
      const unheard = await isRefused(
        'no-statement',
        /serves no statement at \/_hansetag\/key\/v1\/statement/,
        /install the certificate/,
      );
      await luebeck.certify();
      const line = await hamburg.judges(luebeck, 'trusted');
      expect([line?.['level'], line?.['organisation']]).toEqual([30, 'Lübeck']);
      await reads(anna, shared, unheard);
    },
    LONG_MS,
  );

  const faults: {
    readonly title: string;
    readonly reason: string;
    readonly sentence: RegExp;
    readonly advice: RegExp;
    readonly make: () => Promise<unknown>;
  }[] = [
    {
      title: 'refuses a certificate of an unknown authority',
      reason: 'unknown-authority',
      sentence: /not of an authority that it trusts/,
      advice: /./,
      make: () => luebeck.certify({ issuer: all.stranger }),
    },
    {
      title: 'refuses a certificate for another name',
      reason: 'wrong-name',
      sentence: /for another server name/,
      advice: /./,
      make: () => luebeck.certify({ certificate: { host: 'kiel.example' } }),
    },
    {
      title: 'refuses the statement of another server',
      reason: 'wrong-name',
      sentence: /for another server name/,
      advice: /./,
      make: () => luebeck.certify({ serverName: 'localhost' }),
    },
    {
      title: 'refuses a certificate that has expired',
      reason: 'expired',
      sentence: /has expired/,
      advice: /./,
      make: () => {
        const day = 24 * 60 * 60 * 1000;
        const certificate = { notBefore: new Date(Date.now() - 20 * day), notAfter: new Date(Date.now() - day) };
        return luebeck.certify({ certificate });
      },
    },
    {
      title: 'refuses a certificate that a CRL names as revoked',
      reason: 'revoked',
      sentence: /was revoked/,
      advice: /needs a new one/,
      make: async () => {
        const { certificate } = await luebeck.certify({ certificate: { sources: 'crl' } });
        all.authority.revoke(certificate, 'crl');
      },
    },
    {
      title: 'refuses a certificate that an OCSP responder calls revoked',
      reason: 'revoked',
      sentence: /was revoked/,
      advice: /needs a new one/,
      make: async () => {
        const { certificate } = await luebeck.certify({ certificate: { sources: 'ocsp' } });
        all.authority.revoke(certificate, 'ocsp');
      },
    },
    {
      title: 'refuses an instance whose statement omits the key that signs its requests',
      reason: 'key-not-listed',
      sentence: /the key that signed the request is not in the statement/,
      advice: /make a new statement that lists it/,
      make: () => {
        const other = createSigningKey(generateSeed(), 'other');
        return luebeck.certify({ keys: new Map([[other.keyId, other.publicKey]]) });
      },
    },
    {
      title: 'refuses what is no statement',
      reason: 'malformed',
      sentence: /is malformed/,
      advice: /statement/,
      make: () => {
        luebeck.front.statement = '<html>It works!</html>';
        return Promise.resolve();
      },
    },
  ];
  for (const { title, reason, sentence, advice, make } of faults) {
    it(
      title,
      async () => {
        await make();
        await judgedAnew();
        await isRefused(reason, sentence, advice);
      },
      LONG_MS,
    );
  }

  it(
    'refuses an older statement that is served again',
    async () => {
      const issued = await luebeck.certify();
      const { statement: older } = luebeck.front;
      await luebeck.certify({ issued });
      await judgedAnew();
      await say(bert, shared, 'before the replay');
      await reads(anna, shared, 'before the replay');
      luebeck.front.statement = older;
      await judgedAnew();
      await isRefused('replayed', /serves an older statement/, /higher number/);
    },
    LONG_MS,
  );

  it(
    'refuses an instance of which it cannot be found out whether it is revoked, and accepts it when that is back',
    async () => {
      await luebeck.certify({ issuer: all.late.authority });
      all.late.responder.setDown(true);
      await judgedAnew();
      const unheard = await isRefused(
        'revocation-unknown',
        /cannot be found out/,
        /this server can reach these addresses/,
      );
      all.late.responder.setDown(false);
      await judgedAnew();
      await reads(anna, shared, unheard);
      expect(await trustOf(hamburg)).toEqual({ mode: 'pki', refused: 0, reasons: {} });
    },
    LONG_MS,
  );

  it(
    'goes on with an instance that renews its certificate while the old one is still valid',
    async () => {
      const old = await luebeck.certify();
      await judgedAnew();
      await say(bert, shared, 'with the old certificate');
      await reads(anna, shared, 'with the old certificate');
      hamburg.log.length = 0;
      await luebeck.certify();
      all.authority.revoke(old.certificate);
      await judgedAnew();
      await say(bert, shared, 'with the new certificate');
      await reads(anna, shared, 'with the new certificate');
      expect(hamburg.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
    },
    LONG_MS,
  );

  it(
    'goes on with an instance that changes its signing key, which its statement lists before',
    async () => {
      const issued: Issued = await luebeck.certify();
      await judgedAnew();
      await say(bert, shared, 'with the old key');
      await reads(anna, shared, 'with the old key');
      const seed = generateSeed();
      const next = createSigningKey(seed, 'next');
      const keys = await luebeck.front.keys();
      await luebeck.certify({ issued, keys: new Map([...keys, [next.keyId, next.publicKey]]) });
      await luebeck.server.stop();
      writeFileSync(luebeck.keyFile, `ed25519 next ${seed}\n`);
      await luebeck.server.start();
      expect([...(await luebeck.front.keys()).keys()]).toContain('ed25519:next');
      hamburg.log.length = 0;
      await say(bert, shared, 'with the new key');
      await reads(anna, shared, 'with the new key');
      expect(hamburg.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
      expect(await trustOf(hamburg)).toEqual({ mode: 'pki', refused: 0, reasons: {} });
    },
    2 * LONG_MS,
  );
});

describe('Trust by certificate: the change from open to pki with existing rooms', () => {
  let all: Towns;
  let hamburg: Town;
  let luebeck: Town;
  let kiel: Town;
  let anna: TestUser;
  let bert: TestUser;
  let klara: TestUser;
  let room: string;

  beforeAll(async () => {
    all = await startTowns(['Hamburg', 'Lübeck', 'Kiel'], { trust: () => 'open' });
    [hamburg, luebeck, kiel] = all.towns as [Town, Town, Town];
    [anna, bert, klara] = await Promise.all([
      hamburg.server.register('anna'),
      luebeck.server.register('bert'),
      kiel.server.register('klara'),
    ]);
    room = await createRoom(anna);
    await enter(bert, room, hamburg);
    await enter(klara, room, hamburg);
    await say(klara, room, 'open');
    await reads(anna, room, 'open');
  }, LONG_MS);
  afterAll(() => all.close());

  it(
    'goes on with those who have a certificate, keeps the room whole with events of those who have none, and sends nothing to them until they have one',
    async () => {
      expect(at(await hamburg.health(), 'trust'))
        .withContext('open')
        .toBeUndefined();
      await luebeck.certify();
      await hamburg.restart({ HANSETAG_TRUST: 'pki' });
      await say(bert, room, 'from Lübeck');
      await reads(anna, room, 'from Lübeck');

      await klara.must('PUT', path(room, `state/m.room.member/${encodeURIComponent(klara.userId)}`), {
        membership: 'join',
        displayname: 'Klara of Kiel',
      });
      await say(klara, room, 'from Kiel');
      await hamburg.judges(kiel, 'no-statement');
      await reads(bert, room, 'from Kiel');
      const ofKlara = async (): Promise<unknown> =>
        at(
          await anna.must('GET', path(room, `state/m.room.member/${encodeURIComponent(klara.userId)}`)),
          'displayname',
        );
      // What comes after it, from a server that is trusted, brings it.
      await say(bert, room, 'after Kiel');
      await reads(anna, room, 'after Kiel');
      expect(await ofKlara())
        .withContext("the room's state")
        .toBe('Klara of Kiel');
      expect(await bodies(anna, room)).toContain('from Kiel');

      await say(anna, room, 'for all');
      await reads(bert, room, 'for all');
      expect(await bodies(klara, room)).not.toContain('for all');

      // Nothing is sent meanwhile, and everything once there is a certificate.
      const sent = (): number =>
        kiel.front.passed.filter((line) => line.includes('/_matrix/federation/v1/send/')).length;
      const before = sent();
      for (let turn = 0; turn < 5; turn += 1) await say(anna, room, `waiting ${String(turn)}`);
      await reads(bert, room, 'waiting 4');
      expect(sent()).withContext('requests to Kiel').toBe(before);
      expect(hamburg.log.filter(({ msg }) => msg === 'a transaction was not delivered')).toEqual([]);
      await kiel.certify();
      await hamburg.judges(kiel, 'trusted');
      await reads(klara, room, 'waiting 4');
      expect((await bodies(klara, room)).filter((body) => String(body).startsWith('waiting')).length).toBe(5);
      await say(klara, room, 'with a certificate');
      await reads(anna, room, 'with a certificate');
      expect(at(await hamburg.health(), 'trust')).toEqual({ mode: 'pki', refused: 0, reasons: {} });
    },
    2 * LONG_MS,
  );
});

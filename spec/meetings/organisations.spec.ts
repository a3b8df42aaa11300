/** What is believed of another instance's discovery document, for how long, and what stands in for it. */
import type { Logger } from 'pino';
import type { JsonObject } from '../../federation/json.ts';
import { createSigningKey, generateSeed, signJson, verifySignature } from '../../federation/signing.ts';
import { discoverySchema } from '../../homeserver/meetings/conference/messages.ts';
import { DiscoveryError, Organisations } from '../../homeserver/meetings/organisations.ts';

const HAMBURG = 'hamburg.example';
const START = Date.UTC(2026, 0, 1);
const MINUTE = 60_000;

const key = createSigningKey(generateSeed(), '1');
const ownKey = createSigningKey(generateSeed(), '1');
const otherKey = createSigningKey(generateSeed(), '1');

describe('The discovery document', () => {
  let mode: 'allowlist' | 'pki' | undefined;
  let organisations: Organisations;
  /** What servers were asked, in order. */
  let asked: { destination: string; path: string; signed?: boolean; timeoutMs?: number; maxBytes?: number }[];
  /** What the next one answers. */
  let answer: () => Promise<unknown>;
  let keyOf: (server: string, keyId: string) => string | undefined;

  beforeEach(() => {
    jasmine.clock().install().mockDate(new Date(START));
    asked = [];
    answer = () => Promise.resolve(signed());
    keyOf = (server) => (server === HAMBURG ? key.publicKey : undefined);
    mode = undefined;
    organisations = new Organisations({
      trust: {
        isTrusted: (server) => server === HAMBURG,
        summary: () => mode && { mode, refused: 0, reasons: {} },
      },
      serverName: 'luebeck.example',
      displayName: 'Lübeck',
      colour: '#0b5563',
      publicUrl: 'https://meet.luebeck.example',
      key: ownKey,
      keyring: { key: (server, keyId) => Promise.resolve(keyOf(server, keyId)) },
      client: {
        request: (options) => {
          asked.push(options);
          return answer();
        },
      },
      log: { warn: () => undefined } as unknown as Logger,
    });
  });
  afterEach(() => jasmine.clock().uninstall());

  function document(changes: JsonObject = {}): JsonObject {
    return {
      server_name: HAMBURG,
      organisation: { display_name: 'Hamburg', colour: '#c1121c' },
      sfu: { address: '192.0.2.7', min_port: 20_000, max_port: 20_100, probe_port: 19_999 },
      issued_ts: Date.now(),
      valid_until_ts: Date.now() + 10 * MINUTE,
      ...changes,
    };
  }
  const signed = (changes: JsonObject = {}, by = HAMBURG, withKey = key): JsonObject =>
    signJson(document(changes), by, withKey);
  const refused = async (part: string): Promise<void> => {
    await expectAsync(organisations.ask(HAMBURG)).toBeRejectedWithError(DiscoveryError, new RegExp(part));
  };
  const pass = async (ms: number): Promise<void> => {
    await Promise.resolve();
    jasmine.clock().tick(ms);
  };

  describe('of ours', () => {
    it('is one that others take: signed by us, ten minutes long, with the ports of the SFU', () => {
      const own = organisations.document({ address: '192.0.2.1', minPort: 20_000, maxPort: 20_079, probePort: 19_999 });
      const parsed = discoverySchema.parse(own);
      expect(parsed.organisation).toEqual({ display_name: 'Lübeck', colour: '#0b5563' });
      expect(parsed.sfu).toEqual({ address: '192.0.2.1', min_port: 20_000, max_port: 20_079, probe_port: 19_999 });
      expect([parsed.issued_ts, parsed.valid_until_ts]).toEqual([START, START + 10 * MINUTE]);
      expect(verifySignature(own, 'luebeck.example', ownKey.keyId, ownKey.publicKey)).toBeTrue();
    });

    it('names no SFU while there is none', () => {
      const own = organisations.document(undefined);
      expect('sfu' in own).toBeFalse();
      expect(discoverySchema.safeParse(own).success).toBeTrue();
    });
  });

  describe('of another instance', () => {
    it('is asked for with a signed request that is bounded in time and size', async () => {
      await organisations.discovery(HAMBURG);
      expect(asked).toEqual([
        jasmine.objectContaining({
          destination: HAMBURG,
          path: '/_hansetag/federation/v1/discovery',
          signed: true,
          timeoutMs: 8_000,
          maxBytes: 64 * 1024,
        }),
      ]);
    });

    it('is refused when it is malformed', async () => {
      const malformed: JsonObject[] = [
        {},
        signed({ organisation: { display_name: 'Hamburg', colour: 'red' } }),
        signed({ organisation: { display_name: '', colour: '#c1121c' } }),
        signed({ organisation: { display_name: 'x'.repeat(257), colour: '#c1121c' } }),
        signed({ sfu: { address: 'sfu.hamburg.example', min_port: 2_000, max_port: 2_001, probe_port: 1_999 } }),
        signed({ sfu: { address: '192.0.2.7', min_port: 80, max_port: 2_001, probe_port: 1_999 } }),
        signed({ valid_until_ts: -1 }),
        signed({ valid_until_ts: 1e15 }),
      ];
      for (const each of malformed) {
        answer = () => Promise.resolve(each);
        await refused('malformed');
      }
      answer = () => Promise.resolve('a page of a proxy');
      await refused('malformed');
    });

    it('is refused when it is the one of somebody else, however well signed', async () => {
      answer = () => Promise.resolve(signed({ server_name: 'bremen.example' }));
      await refused('names another server');
    });

    it('is refused without a valid signature of its own server', async () => {
      const changed = { ...signed(), organisation: { display_name: 'Mallory', colour: '#c1121c' } };
      for (const each of [
        { ...document(), signatures: {} },
        changed,
        signed({}, HAMBURG, otherKey),
        signed({}, 'mallory.example', otherKey),
      ]) {
        answer = () => Promise.resolve(each);
        await refused('bears no valid signature');
      }
      keyOf = () => undefined;
      answer = () => Promise.resolve(signed());
      await refused('bears no valid signature');
    });

    it('is taken when one of several signatures of its server is valid', async () => {
      const newKey = createSigningKey(generateSeed(), '2');
      keyOf = (_server, keyId) => (keyId === newKey.keyId ? newKey.publicKey : undefined);
      answer = () => Promise.resolve(signJson(signed(), HAMBURG, newKey));
      await organisations.ask(HAMBURG);
      expect(organisations.known(HAMBURG).displayName).toBe('Hamburg');
    });

    it('is asked for once for all who need it at the same time', async () => {
      const held = Promise.withResolvers<unknown>();
      answer = () => held.promise;
      const all = [1, 2, 3].map(() => organisations.discovery(HAMBURG));
      held.resolve(signed());
      const [first, ...others] = await Promise.all(all);
      expect(asked.length).toBe(1);
      for (const other of others) expect<unknown>(other).toBe(first);
    });

    it('is kept as long as it says, counted from its receipt by our own clock', async () => {
      const ahead = 5 * 60 * MINUTE;
      answer = () => Promise.resolve(signed({ issued_ts: START + ahead, valid_until_ts: START + ahead + 3 * MINUTE }));
      await organisations.discovery(HAMBURG);
      await pass(3 * MINUTE - 1);
      await organisations.discovery(HAMBURG);
      expect(asked.length).toBe(1);
      await pass(1);
      await organisations.discovery(HAMBURG);
      expect(asked.length).toBe(2);
    });

    it('is kept a minute at least and ten at most, whatever it says', async () => {
      for (const [saidMs, keptMs] of [
        [0, MINUTE],
        [-5_000, MINUTE],
        [365 * 24 * 60 * MINUTE, 10 * MINUTE],
      ] as const) {
        answer = () => Promise.resolve(signed({ valid_until_ts: Date.now() + saidMs }));
        organisations.forget(HAMBURG);
        await organisations.discovery(HAMBURG);
        const before = asked.length;
        await pass(keptMs - 1);
        await organisations.discovery(HAMBURG);
        expect(asked.length)
          .withContext(`${String(saidMs)} ms`)
          .toBe(before);
        await pass(1);
        await organisations.discovery(HAMBURG);
        expect(asked.length)
          .withContext(`${String(saidMs)} ms`)
          .toBe(before + 1);
      }
    });

    it('is asked for again two seconds after a failure, not sooner', async () => {
      answer = () => Promise.reject(new Error('silence'));
      await expectAsync(organisations.discovery(HAMBURG)).toBeRejectedWithError('silence');
      await pass(1_999);
      await expectAsync(organisations.discovery(HAMBURG)).toBeRejectedWithError('silence');
      expect(asked.length).toBe(1);
      answer = () => Promise.resolve(signed());
      await pass(1);
      await organisations.discovery(HAMBURG);
      expect(asked.length).toBe(2);
    });

    it('is asked for at once by who forgets it', async () => {
      await organisations.discovery(HAMBURG);
      organisations.forget(HAMBURG);
      await organisations.discovery(HAMBURG);
      await organisations.ask(HAMBURG);
      expect(asked.length).toBe(3);
    });

    it('keeps its old time when it is forgotten while it is on its way', async () => {
      const slow = Promise.withResolvers<unknown>();
      answer = () => slow.promise;
      const first = organisations.discovery(HAMBURG);
      organisations.forget(HAMBURG);
      answer = () => Promise.resolve(signed());
      const second = await organisations.discovery(HAMBURG);
      slow.reject(new Error('silence'));
      await expectAsync(first).toBeRejectedWithError('silence');
      await pass(5_000);
      expect(await organisations.discovery(HAMBURG))
        .withContext('the failure of before does not end it')
        .toBe(second);
      expect(asked.length).toBe(2);
    });
  });

  describe('gives an organisation its name', () => {
    it('and until then the server name stands in, without its port, while it is asked for in the background', async () => {
      expect(organisations.known('hamburg.example:8448')).toEqual({
        serverName: 'hamburg.example:8448',
        displayName: 'hamburg.example',
        colour: '#5f6b6d',
      });
      expect(asked.map(({ destination }) => destination)).toEqual(['hamburg.example:8448']);
      expect(await organisations.info(HAMBURG)).toEqual({
        serverName: HAMBURG,
        displayName: 'Hamburg',
        colour: '#c1121c',
        trust: 'open',
      });
    });

    it('also when it does not answer any more', async () => {
      await organisations.ask(HAMBURG);
      answer = () => Promise.reject(new Error('silence'));
      await expectAsync(organisations.ask(HAMBURG)).toBeRejected();
      expect((await organisations.info(HAMBURG)).displayName).toBe('Hamburg');
    });

    it('that can be shown, and none that hides or turns the text around it', async () => {
      answer = () =>
        Promise.resolve(signed({ organisation: { display_name: '\u202eHam\u0000burg\u200b', colour: '#c1121c' } }));
      expect((await organisations.info(HAMBURG)).displayName).toBe('Ham burg');
      answer = () => Promise.resolve(signed({ organisation: { display_name: '\u200b\u202e', colour: '#c1121c' } }));
      organisations.forget(HAMBURG);
      expect((await organisations.info(HAMBURG)).displayName).toBe(HAMBURG);
    });

    it('and says how it is trusted, and nothing of one that is not', () => {
      const trustOf = (server: string) => organisations.known(server).trust;
      expect(trustOf(HAMBURG)).toBe('open');
      mode = 'allowlist';
      expect(trustOf(HAMBURG)).toBe('listed');
      mode = 'pki';
      expect(trustOf(HAMBURG)).toBe('certificate');
      expect(trustOf('bremen.example')).toBeUndefined();
    });

    it('which is ours for our own server, without asking anybody', async () => {
      const own = { serverName: 'luebeck.example', displayName: 'Lübeck', colour: '#0b5563' };
      expect(organisations.own).toEqual(own);
      expect(organisations.known('luebeck.example')).toEqual({ ...own, trust: 'own' });
      expect(await organisations.info('luebeck.example')).toEqual({ ...own, trust: 'own' });
      expect(asked).toEqual([]);
    });
  });

  describe('tells how far the clock of its server is off', () => {
    it('beyond a minute; what is less is the way of the answer', async () => {
      expect(organisations.clockAhead(HAMBURG)).toBe(0);
      for (const [aheadMs, expected] of [
        [60_000, 0],
        [-60_000, 0],
        [60_001, 60_001],
        [-3_600_000, -3_600_000],
      ] as const) {
        answer = () => Promise.resolve(signed({ issued_ts: Date.now() + aheadMs }));
        await organisations.ask(HAMBURG);
        expect(organisations.clockAhead(HAMBURG)).toBe(expected);
      }
    });

    it('also where only the end of its validity is said, which is ten minutes after its beginning', async () => {
      const { issued_ts: _, ...old } = document({ valid_until_ts: Date.now() + 70 * MINUTE });
      answer = () => Promise.resolve(signJson(old, HAMBURG, key));
      await organisations.ask(HAMBURG);
      expect(organisations.clockAhead(HAMBURG)).toBe(60 * MINUTE);
    });

    it('and nothing of it is believed without a signature', async () => {
      answer = () => Promise.resolve(signed({ issued_ts: Date.now() + 60 * MINUTE }, HAMBURG, otherKey));
      await refused('signature');
      expect(organisations.clockAhead(HAMBURG)).toBe(0);
    });
  });
});

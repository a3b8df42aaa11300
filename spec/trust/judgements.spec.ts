import { pino } from 'pino';
import type { SeenStatement, Verdict } from '../../federation/trust/verdict.ts';
import { CertificateTrust } from '../../homeserver/engine/trust/certificate-trust.ts';
import type { KeptDecision } from '../../homeserver/engine/trust/decisions.ts';
import type { Fetched } from '../../homeserver/engine/trust/statements.ts';
import { ListTrust, UntrustedError } from '../../homeserver/engine/trust/trust.ts';
import type { Decision } from '../../homeserver/engine/trust/trust.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const PEER = 'luebeck.example';
const KEY = { keyId: 'ed25519:a', publicKey: 'AAAA' };
const OTHER = { keyId: 'ed25519:b', publicKey: 'BBBB' };
const NOBODY: Fetched = { reason: 'unreachable', text: 'It does not answer.' };

describe('Trust by certificate: the cache of judgements', () => {
  let now: number;
  let fetched: Fetched;
  let verdict: Verdict;
  let fetches: number;
  let judged: { jws: string; seen: SeenStatement | undefined }[];
  let kept: Map<string, KeptDecision>;
  let lines: Record<string, unknown>[];
  let trust: CertificateTrust;
  let neighbours: Set<string>;
  let isDatabaseAway: boolean;
  /** Keeping a decision takes as long. */
  let held: Promise<void> | undefined;

  function good(change: Partial<Extract<Verdict, { trusted: true }>> = {}): Verdict {
    return {
      trusted: true,
      organisation: 'Hansestadt Lübeck',
      keys: new Map([[KEY.keyId, KEY.publicKey]]),
      number: 1,
      digest: 'one',
      until: now + 10 * HOUR,
      serial: '1',
      issuer: 'CN=Root',
      notAfter: now + 100 * HOUR,
      ...change,
    };
  }
  function bad(reason: Extract<Verdict, { trusted: false }>['reason']): Verdict {
    return { trusted: false, reason, text: `It is ${reason}.`, until: now };
  }
  function start(anchors = 'anchors'): Promise<CertificateTrust> {
    return CertificateTrust.open({
      serverName: 'hamburg.example',
      anchors,
      decisions: {
        all: () => Promise.resolve([...kept.values()]),
        find: (server) => Promise.resolve(kept.get(server)),
        put: async (decision) => {
          await held;
          if (isDatabaseAway) throw new Error('the database is away');
          kept.set(decision.server, decision);
        },
      },
      fetch: async () => {
        fetches += 1;
        await Promise.resolve();
        return fetched;
      },
      judge: (jws, { seen }) => {
        judged.push({ jws, seen });
        return Promise.resolve(verdict);
      },
      isNeighbour: (server) => Promise.resolve(neighbours.has(server)),
      log: pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) }),
      now: () => now,
    });
  }
  const reasonOf = (decision: Decision | undefined): string | undefined =>
    decision?.trusted === false ? decision.reason : undefined;
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  /** The sweep that looks for what is due. */
  const sweep = async (): Promise<void> => {
    trust.start();
    await settle();
  };

  beforeEach(async () => {
    now = 1_800_000_000_000;
    fetched = { jws: 'statement' };
    fetches = 0;
    judged = [];
    kept = new Map();
    lines = [];
    neighbours = new Set([PEER]);
    isDatabaseAway = false;
    held = undefined;
    verdict = good();
    trust = await start();
  });
  afterEach(() => trust.close());

  it('judges a server once, however many ask at the same time, and then answers without waiting', async () => {
    expect(trust.decision(PEER)).toBeUndefined();
    await Promise.all(Array.from({ length: 50 }, async () => trust.settle(PEER)));
    expect(fetches).toBe(1);
    expect(trust.decision(PEER)).toEqual(jasmine.objectContaining({ trusted: true }));
    expect(trust.settle(PEER)).not.toBeInstanceOf(Promise);
    expect(trust.judgeKeys(PEER, [KEY])).not.toBeInstanceOf(Promise);
    expect(trust.requireTrusted(PEER)).toBeUndefined();
    expect(trust.isTrusted('hamburg.example')).withContext('ourselves').toBeTrue();
  });

  it('judges again before a judgement ends, so that nobody waits for it', async () => {
    await trust.settle(PEER);
    now += 59 * MINUTE;
    await sweep();
    expect(fetches).toBe(1);
    now += MINUTE;
    await sweep();
    expect(fetches).toBe(2);
    verdict = good({ until: now + 8 * SECOND });
    now += HOUR;
    await sweep();
    now += 6 * SECOND;
    await sweep();
    expect(fetches).toBe(4);
  });

  it('keeps a server that cannot be reached as long as what it said last is good', async () => {
    await trust.settle(PEER);
    fetched = NOBODY;
    now += 2 * HOUR;
    await sweep();
    expect(judged.at(-1)?.jws).toBe('statement');
    expect(trust.decision(PEER)?.trusted).toBeTrue();
    verdict = bad('expired');
    now += 10 * HOUR;
    expect(reasonOf(await trust.settle(PEER))).toBe('unreachable');
    fetched = { jws: 'statement' };
    verdict = bad('revoked');
    now += HOUR;
    expect(reasonOf(await trust.settle(PEER))).toBe('revoked');
    fetched = NOBODY;
    now += HOUR;
    expect(reasonOf(await trust.settle(PEER)))
      .withContext('what was revoked stays so')
      .toBe('revoked');
  });

  it('does not keep it when the server itself says something else', async () => {
    await trust.settle(PEER);
    fetched = { reason: 'no-statement', text: 'It has none.' };
    now += 2 * HOUR;
    await sweep();
    expect(reasonOf(trust.decision(PEER))).toBe('no-statement');
  });

  it('asks a server that it refuses with growing pauses, and tells once why it is refused, and that it is not', async () => {
    verdict = bad('expired');
    const changes: unknown[] = [];
    trust.onChanged((server, decision) => changes.push([server, reasonOf(decision)]));
    await trust.settle(PEER);
    for (let turn = 0; turn < 60; turn++) {
      now += MINUTE;
      await sweep();
    }
    expect(fetches).toBeLessThan(16);
    expect(fetches).toBeGreaterThan(5);
    verdict = good();
    now += 10 * MINUTE;
    await sweep();
    expect(changes).toEqual([
      [PEER, 'expired'],
      [PEER, undefined],
    ]);
    expect(lines.map(({ msg, reason, text }) => [msg, reason, text])).toEqual([
      ['an organisation is not trusted: we do not federate with it', 'expired', 'It is expired.'],
      ['an organisation is trusted: we federate with it', undefined, undefined],
    ]);
  });

  it('tells listeners when the trust in a server begins, ends, or is missing for another reason', async () => {
    const changes: unknown[] = [];
    const stop = trust.onChanged((server, decision) => changes.push([server, reasonOf(decision) ?? 'trusted']));
    for (const next of [good(), good(), bad('revoked'), bad('revoked'), bad('expired'), good()]) {
      verdict = next;
      now += 11 * HOUR;
      await trust.settle(PEER);
    }
    stop();
    expect(changes).toEqual([
      [PEER, 'trusted'],
      [PEER, 'revoked'],
      [PEER, 'expired'],
      [PEER, 'trusted'],
    ]);
  });

  it('tells listeners that trust has ended although that could not be kept', async () => {
    await trust.settle(PEER);
    const changes: unknown[] = [];
    trust.onChanged((server, decision) => changes.push([server, reasonOf(decision) ?? 'trusted']));
    verdict = bad('revoked');
    isDatabaseAway = true;
    now += 11 * HOUR;
    expect((await trust.settle(PEER)).trusted).toBeFalse();
    expect(changes).toEqual([[PEER, 'revoked']]);
    isDatabaseAway = false;
    now += 11 * HOUR;
    expect(reasonOf(await trust.settle(PEER))).toBe('revoked');
    expect(changes)
      .withContext('once')
      .toEqual([[PEER, 'revoked']]);
    expect(kept.get(PEER)?.reason).toBe('revoked');
  });

  it('tells listeners that trust has ended before that is kept', async () => {
    await trust.settle(PEER);
    const changes: unknown[] = [];
    trust.onChanged((server, decision) => changes.push([server, reasonOf(decision) ?? 'trusted']));
    const { promise, resolve: release } = Promise.withResolvers<void>();
    held = promise;
    verdict = bad('revoked');
    now += 11 * HOUR;
    const settled = trust.settle(PEER);
    await settle();
    expect(changes).toEqual([[PEER, 'revoked']]);
    release();
    await settled;
    expect(changes.length).withContext('once').toBe(1);
  });

  it('refuses a server that signs with a key that its statement does not list, until it lists it', async () => {
    await trust.settle(PEER);
    expect(reasonOf(await trust.judgeKeys(PEER, [OTHER]))).toBe('key-not-listed');
    expect(fetches).withContext('it may be in a new statement').toBe(2);
    expect(reasonOf(trust.decision(PEER))).toBe('key-not-listed');
    for (let turn = 0; turn < 20; turn++) await trust.judgeKeys(PEER, [OTHER]);
    expect(fetches).withContext('the same key again').toBe(2);
    verdict = good({ number: 2, digest: 'two', keys: new Map([[OTHER.keyId, OTHER.publicKey]]) });
    now += 11 * SECOND;
    expect((await trust.judgeKeys(PEER, [OTHER])).trusted).toBeTrue();
    expect(trust.decision(PEER)?.trusted).toBeTrue();
  });

  it('takes a new key at once when the statement lists it, and one of two keys is enough', async () => {
    await trust.settle(PEER);
    expect((await trust.judgeKeys(PEER, [OTHER, KEY])).trusted).toBeTrue();
    expect(fetches).toBe(1);
    verdict = good({
      number: 2,
      digest: 'two',
      keys: new Map([
        [KEY.keyId, KEY.publicKey],
        [OTHER.keyId, OTHER.publicKey],
      ]),
    });
    expect((await trust.judgeKeys(PEER, [OTHER])).trusted).toBeTrue();
    expect(reasonOf(await trust.judgeKeys(PEER, [{ ...OTHER, publicKey: 'CCCC' }])))
      .withContext('another key of the same name')
      .toBe('key-not-listed');
  });

  it('refuses only the request when somebody else signs with a key that the server used before', async () => {
    await trust.settle(PEER);
    await trust.judgeKeys(PEER, [KEY]);
    const changes: unknown[] = [];
    trust.onChanged((server, decision) => changes.push([server, reasonOf(decision) ?? 'trusted']));
    for (let turn = 0; turn < 30; turn++) {
      now += 11 * SECOND;
      expect(reasonOf(await trust.judgeKeys(PEER, [OTHER]))).toBe('key-not-listed');
      expect((await trust.judgeKeys(PEER, [KEY])).trusted).toBeTrue();
    }
    now += 2 * HOUR;
    await sweep();
    expect(changes).toEqual([]);
    await trust.judgeKeys(PEER, [OTHER]);
    expect(changes)
      .withContext('it does not use its own any more')
      .toEqual([[PEER, 'key-not-listed']]);
  });

  it('trusts again who signs with a listed key again', async () => {
    await trust.settle(PEER);
    await trust.judgeKeys(PEER, [OTHER]);
    expect(reasonOf(trust.decision(PEER))).toBe('key-not-listed');
    expect((await trust.judgeKeys(PEER, [KEY])).trusted).toBeTrue();
    expect(trust.decision(PEER)?.trusted).toBeTrue();
  });

  it('knows the highest statement and a judgement that still holds after a restart', async () => {
    verdict = good({ number: 7, digest: 'seven' });
    await trust.settle(PEER);
    const { since } = trust.decision(PEER) ?? { since: 0 };
    trust.close();
    now += HOUR;
    trust = await start();
    expect(trust.decision(PEER)).toEqual({ trusted: true, organisation: 'Hansestadt Lübeck', since });
    expect(trust.judgeKeys(PEER, [KEY])).not.toBeInstanceOf(Promise);
    trust.start();
    await settle();
    expect(judged.at(-1)?.seen).toEqual({ number: 7, digest: 'seven' });
    trust.close();
    trust = await start('other anchors');
    expect(trust.decision(PEER)).withContext('judged by other authorities').toBeUndefined();
  });

  it('keeps the highest statement of a server that it refuses', async () => {
    verdict = good({ number: 7, digest: 'seven' });
    await trust.settle(PEER);
    verdict = bad('replayed');
    now += 11 * HOUR;
    await trust.settle(PEER);
    expect(kept.get(PEER)).toEqual(
      jasmine.objectContaining({ trusted: false, reason: 'replayed', number: 7, digest: 'seven' }),
    );
  });

  it('lets nobody in through a statement that nobody could judge', async () => {
    verdict = bad('malformed');
    trust.close();
    trust = await CertificateTrust.open({
      serverName: 'hamburg.example',
      anchors: '',
      decisions: {
        all: () => Promise.resolve([]),
        find: () => Promise.reject(new Error('the database is away')),
        put: () => Promise.resolve(),
      },
      fetch: () => Promise.resolve(fetched),
      judge: () => Promise.resolve(good()),
      isNeighbour: () => Promise.resolve(true),
      log: pino({ level: 'silent' }),
    });
    expect((await trust.settle(PEER)).trusted).toBeFalse();
    await expectAsync(trust.requireTrusted(PEER) ?? Promise.resolve()).toBeRejectedWithError(UntrustedError);
    expect(trust.decision(PEER)).withContext('for the next request it is judged anew').toBeUndefined();
  });

  it('does not let servers that anybody may have named keep those that it knows waiting', async () => {
    trust.close();
    const { promise: never, resolve: end } = Promise.withResolvers<Fetched>();
    let asked = 0;
    trust = await CertificateTrust.open({
      serverName: 'hamburg.example',
      anchors: '',
      decisions: {
        all: () => Promise.resolve([]),
        find: () => Promise.resolve(undefined),
        put: () => Promise.resolve(),
      },
      fetch: (server) => {
        asked += 1;
        return server === PEER ? Promise.resolve(fetched) : never;
      },
      judge: () => Promise.resolve(good()),
      isNeighbour: (server) => Promise.resolve(neighbours.has(server)),
      log: pino({ level: 'silent' }),
    });
    const others = Array.from({ length: 200 }, async (_, index) => trust.settle(`stranger${String(index)}.example`));
    await settle();
    expect(asked).toBeLessThanOrEqual(20);
    expect((await trust.settle(PEER)).trusted).toBeTrue();
    end(NOBODY);
    const decisions = await Promise.all(others);
    expect(decisions.some(({ trusted }) => trusted)).toBeFalse();
  });

  it('says how many are refused and why, and not who', async () => {
    await trust.settle(PEER);
    verdict = bad('revoked');
    await trust.settle('kiel.example');
    fetched = NOBODY;
    await trust.settle('bremen.example');
    expect(trust.summary()).toEqual({ mode: 'pki', refused: 2, reasons: { revoked: 1, unreachable: 1 } });
  });
});

describe('the trust in other servers', () => {
  it('is given to all, or to those on the list and nobody else', async () => {
    expect(new ListTrust('hamburg.example', undefined).isTrusted('any.example')).toBeTrue();
    const trust = new ListTrust('hamburg.example', new Set(['luebeck.example', 'bremen.example:8448']));
    const trusted = (server: string): boolean => trust.isTrusted(server);
    expect(['luebeck.example', 'bremen.example:8448', 'hamburg.example'].every(trusted)).toBeTrue();
    const others = ['bremen.example', 'LUEBECK.example', 'x.luebeck.example', 'luebeck.example:8448', ''];
    expect(others.filter(trusted)).toEqual([]);
    expect(trust.refusal('kiel.example')?.reason).toBe('not-listed');
    await expectAsync(trust.requireTrusted('kiel.example') ?? Promise.resolve()).toBeRejectedWithError(UntrustedError);
    expect(trust.requireTrusted('luebeck.example')).toBeUndefined();
  });
});

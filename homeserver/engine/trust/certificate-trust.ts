/**
 * `pki` mode: a server is trusted while its statement, signed by the certificate of its organisation, is good. Judgements
 * are cached, and made anew before they end, so that requests wait for none: warm, a request costs one look-up in a map.
 */
import type { Logger } from 'pino';
import type { SeenStatement, TrustedVerdict, Verdict } from '../../../federation/trust/verdict.ts';
import { every } from '../../base/every.ts';
import { TRUST_PEERS } from '../../base/limits.ts';
import { unexpected } from '../../base/log.ts';
import type { Decisions, KeptDecision } from './decisions.ts';
import type { Fetched } from './statements.ts';
import { UntrustedError } from './trust.ts';
import type { Accepted, Decision, Refusal, Trust, TrustListener, TrustSummary, UsedKey } from './trust.ts';

/** A good judgement is made anew after this time at the latest, in ms: keys and revocations change. */
const AGAIN_MS = 60 * 60 * 1000;
/** … and when three quarters of its life are over. */
const AGAIN_SHARE = 0.75;
/** A good judgement holds at least so long, in ms. */
const SHORTEST_MS = 1_000;
/** After a bad one the server is judged again after this time, in ms; after each further one twice as long. */
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 10 * 60 * 1000;
/** How often it is looked for what has to be judged again, in ms. */
const SWEEP_MS = 5_000;
/** Servers judged at the same time. Anybody can name one: those we know do not wait for strangers. */
const AT_ONCE = { known: 50, stranger: 20 };
/** A statement is not fetched more often for a key that is in none, in ms. */
const SAME_KEY_MS = 10_000;
/** A server that has signed with a key of its statement is not refused for another key for so long, in ms. */
const IN_USE_MS = 10 * 60 * 1000;

export interface CertificateTrustOptions {
  readonly serverName: string;
  readonly decisions: Pick<Decisions, 'all' | 'find' | 'put'>;
  /** Digest of the authorities. */
  readonly anchors: string;
  /** Never rejects. */
  readonly fetch: (server: string) => Promise<Fetched>;
  /** Judges a statement. */
  readonly judge: (
    jws: string,
    context: { readonly serverName: string; readonly now: number; readonly seen: SeenStatement | undefined },
  ) => Promise<Verdict>;
  /** Whether a server shares a room with us. */
  readonly isNeighbour: (server: string) => Promise<boolean>;
  readonly log: Logger;
  /** Unix ms. */
  readonly now?: () => number;
}

interface Peer {
  /** The last decision; it may have to be made anew. */
  decision: Decision | undefined;
  /** How long it holds, Unix ms. */
  until: number;
  /** When it is made anew in the background, Unix ms. */
  dueAt: number;
  /** What the last good statement says, and the statement. */
  verdict: Pick<TrustedVerdict, 'keys' | 'organisation' | 'notAfter'> | undefined;
  statement: string | undefined;
  seen: SeenStatement | undefined;
  failures: number;
  /** A key that has signed a request and is in no statement. */
  unlisted: (UsedKey & { readonly fetchedAt: number }) | undefined;
  /** When a request was signed with a key of the statement last, Unix ms. */
  listedAt: number;
  /** We have rooms with the server, or people here want something of it: it is judged without being asked for. */
  matters: boolean;
  loaded: boolean;
  judging: Promise<Decision> | undefined;
}

export class CertificateTrust implements Trust {
  readonly #options: CertificateTrustOptions;
  readonly #now: () => number;
  readonly #own: Accepted;
  /** By server name, the oldest first. */
  readonly #peers = new Map<string, Peer>();
  readonly #listeners = new Set<TrustListener>();
  readonly #underWay = { known: 0, stranger: 0 };
  #stop: (() => void) | undefined;

  private constructor(options: CertificateTrustOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#own = { trusted: true, since: this.#now() };
  }

  /** Reads what was decided before: a judgement that still holds survives a restart. */
  static async open(options: CertificateTrustOptions): Promise<CertificateTrust> {
    const trust = new CertificateTrust(options);
    for (const kept of await options.decisions.all()) trust.#restore(trust.#peer(kept.server), kept);
    return trust;
  }

  decision(server: string): Decision | undefined {
    const peer = this.#peers.get(server);
    if (peer?.decision !== undefined && this.#now() < peer.until) return peer.decision;
    return server === this.#options.serverName ? this.#own : undefined;
  }

  settle(server: string): Decision | Promise<Decision> {
    return this.decision(server) ?? this.#judge(server);
  }

  isTrusted(server: string): boolean {
    if (this.decision(server) === undefined) this.#judgeSoon(server);
    return server === this.#options.serverName || (this.#peers.get(server)?.decision?.trusted ?? false);
  }

  refusal(server: string): Refusal | undefined {
    const decision = this.#peers.get(server)?.decision;
    return decision?.trusted === false ? decision : undefined;
  }

  judgeKeys(server: string, keys: readonly UsedKey[]): Decision | Promise<Decision> {
    const peer = this.#peers.get(server);
    const decision = this.decision(server);
    if (decision?.trusted && peer && isListed(peer, keys)) {
      peer.listedAt = this.#now();
      return decision;
    }
    return this.#judgeUnlisted(server, keys);
  }

  requireTrusted(server: string, isExempt = false): Promise<void> | undefined {
    return isExempt || this.decision(server)?.trusted ? undefined : this.#require(server);
  }

  onChanged(listener: TrustListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  summary(): TrustSummary {
    const reasons: Partial<Record<Refusal['reason'], number>> = {};
    let refused = 0;
    for (const { decision } of this.#peers.values()) {
      if (decision?.trusted !== false) continue;
      refused += 1;
      reasons[decision.reason] = (reasons[decision.reason] ?? 0) + 1;
    }
    return { mode: 'pki', refused, reasons };
  }

  start(): void {
    this.#sweep();
    this.#stop ??= every(SWEEP_MS, () => Promise.resolve(this.#sweep()), this.#options.log, 'nobody was judged again');
  }

  close(): void {
    this.#stop?.();
    this.#listeners.clear();
  }

  #sweep(): void {
    const now = this.#now();
    for (const [server, peer] of this.#peers) {
      if (peer.decision !== undefined && peer.matters && now >= peer.dueAt) this.#judgeSoon(server);
    }
  }

  async #require(server: string): Promise<void> {
    this.#peer(server).matters = true;
    const decision = await this.settle(server);
    if (!decision.trusted) throw new UntrustedError(server, decision);
  }

  /** The statement may list the key by now: it is fetched again before the server is refused. */
  async #judgeUnlisted(server: string, keys: readonly UsedKey[]): Promise<Decision> {
    const peer = this.#peer(server);
    const decision = await this.settle(server);
    if (isListed(peer, keys)) return peer.unlisted ? this.#listedAgain(server, peer) : decision;
    const [key] = keys;
    if (!peer.verdict || !key) return decision;
    const { unlisted } = peer;
    const isKnown = unlisted?.keyId === key.keyId && unlisted.publicKey === key.publicKey;
    if (!isKnown || this.#now() >= unlisted.fetchedAt + SAME_KEY_MS) {
      peer.unlisted = { ...key, fetchedAt: this.#now() };
      const again = await this.#judge(server, true);
      if (isListed(peer, keys)) return peer.unlisted ? this.#listedAgain(server, peer) : again;
    }
    return peer.decision?.trusted === false ? peer.decision : notListed(key, this.#now());
  }

  /** A server that was refused for its key signs with one of its statement again. */
  async #listedAgain(server: string, peer: Peer): Promise<Decision> {
    peer.unlisted = undefined;
    peer.listedAt = this.#now();
    return peer.decision?.trusted === false && peer.decision.reason === 'key-not-listed'
      ? this.#judge(server, true)
      : (peer.decision ?? this.#judge(server));
  }

  #judgeSoon(server: string): void {
    this.#judge(server).catch(unexpected(this.#options.log, 'a server was not judged'));
  }

  /** @param anew even if a judgement under way would do that began before */
  async #judge(server: string, anew = false): Promise<Decision> {
    const peer = this.#peer(server);
    if (anew) await peer.judging;
    peer.judging ??= this.#judgeInTurn(server, peer).finally(() => {
      peer.judging = undefined;
    });
    return peer.judging;
  }

  async #judgeInTurn(server: string, peer: Peer): Promise<Decision> {
    try {
      await this.#load(server, peer);
      const standing = peer.matters || (await this.#options.isNeighbour(server)) ? 'known' : 'stranger';
      peer.matters = standing === 'known';
      if (this.#underWay[standing] >= AT_ONCE[standing]) return this.#unjudged('Too many servers are being judged.');
      this.#underWay[standing] += 1;
      try {
        return await this.#decide(server, peer, await this.#verdict(server, peer));
      } finally {
        this.#underWay[standing] -= 1;
      }
    } catch (error) {
      this.#options.log.error({ err: error, server }, 'whether a server is to be trusted was not found out');
      return this.#unjudged('It could not be judged: see the log.');
    }
  }

  /** For this request alone. */
  #unjudged(text: string): Refusal {
    return { trusted: false, reason: 'unreachable', text, since: this.#now() };
  }

  async #verdict(server: string, peer: Peer): Promise<Verdict & { readonly statement?: string }> {
    const { fetch, judge } = this.#options;
    const fetched = await fetch(server);
    const now = this.#now();
    const context = { serverName: server, now, seen: peer.seen };
    if (fetched.jws !== undefined) return { ...(await judge(fetched.jws, context)), statement: fetched.jws };
    // Whoever cannot be reached is trusted as long as what it said last is good.
    if (fetched.reason === 'unreachable' && peer.statement !== undefined) {
      const verdict = await judge(peer.statement, context);
      if (verdict.trusted) return { ...verdict, statement: peer.statement };
      if (verdict.reason !== 'expired') return verdict;
    }
    return { trusted: false, reason: fetched.reason, text: fetched.text, until: now };
  }

  async #decide(server: string, peer: Peer, verdict: Verdict & { readonly statement?: string }): Promise<Decision> {
    const now = this.#now();
    if (verdict.trusted) {
      peer.verdict = verdict;
      peer.statement = verdict.statement;
      peer.seen = { number: verdict.number, digest: verdict.digest };
      peer.matters = true;
    } else {
      peer.verdict = undefined;
    }
    if (verdict.trusted && peer.unlisted && isListed(peer, [peer.unlisted])) peer.unlisted = undefined;
    const before = peer.decision;
    // Whoever has got hold of an earlier key must not end the trust in the server; the request is refused all the same.
    const { unlisted, listedAt } = peer;
    const isForKey = unlisted !== undefined && unlisted.fetchedAt >= listedAt + IN_USE_MS;
    const decision = verdict.trusted && isForKey ? notListed(unlisted, now) : decisionOf(verdict, now);
    const isSame = isAlike(before, decision);
    peer.decision = isSame ? { ...decision, since: before?.since ?? now } : decision;
    peer.failures = decision.trusted ? 0 : peer.failures + 1;
    const life = Math.max(verdict.until - now, SHORTEST_MS);
    const holds = decision.trusted ? life : retryMs(peer.failures);
    peer.until = now + holds;
    peer.dueAt = decision.trusted ? now + Math.min(holds * AGAIN_SHARE, AGAIN_MS) : peer.until;
    // Who is refused must be out of conferences now, also where the database is slow.
    if (!isSame && !decision.trusted) this.#changed(server, peer.decision);
    try {
      // The number counts once it would survive a restart.
      await this.#keep(server, peer, peer.decision, now);
    } finally {
      // Kept or not: the next judgement is no change.
      if (!isSame && decision.trusted) this.#changed(server, peer.decision);
    }
    return peer.decision;
  }

  #changed(server: string, decision: Decision): void {
    const { log } = this.#options;
    if (decision.trusted) {
      log.info({ server, organisation: decision.organisation }, 'an organisation is trusted: we federate with it');
    } else {
      const { reason, text } = decision;
      log.warn({ server, reason, text }, 'an organisation is not trusted: we do not federate with it');
    }
    for (const listener of this.#listeners) listener(server, decision);
  }

  async #keep(server: string, peer: Peer, decision: Decision, judgedAt: number): Promise<void> {
    const { verdict } = peer;
    await this.#options.decisions.put({
      server,
      trusted: decision.trusted,
      reason: decision.trusted ? null : decision.reason,
      text: decision.trusted ? null : decision.text,
      number: peer.seen?.number ?? null,
      digest: peer.seen?.digest ?? null,
      organisation: verdict?.organisation ?? null,
      notAfter: verdict?.notAfter ?? null,
      since: decision.since,
      judgedAt,
      until: peer.until,
      statement: peer.statement ?? null,
      keys: verdict ? Object.fromEntries(verdict.keys) : null,
      anchors: this.#options.anchors,
    });
  }

  async #load(server: string, peer: Peer): Promise<void> {
    if (peer.loaded) return;
    const kept = await this.#options.decisions.find(server);
    if (kept && !peer.loaded) this.#restore(peer, kept);
    peer.loaded = true;
  }

  #restore(peer: Peer, kept: KeptDecision): void {
    const { reason, since, organisation } = kept;
    peer.loaded = true;
    peer.statement = kept.statement ?? undefined;
    if (kept.number !== null && kept.digest !== null) peer.seen = { number: kept.number, digest: kept.digest };
    peer.matters = peer.matters || peer.seen !== undefined;
    peer.decision =
      reason === null
        ? { trusted: true, since, ...(organisation === null ? {} : { organisation }) }
        : { trusted: false, reason, text: kept.text ?? '', since };
    // What other authorities were the reason for has to be judged anew, and so has what was refused.
    if (!kept.trusted || kept.anchors !== this.#options.anchors || kept.keys === null) return;
    peer.verdict = {
      keys: new Map(Object.entries(kept.keys)),
      organisation: organisation ?? '',
      notAfter: kept.notAfter ?? 0,
    };
    peer.until = kept.until;
  }

  #peer(server: string): Peer {
    const known = this.#peers.get(server);
    if (known) return known;
    if (this.#peers.size >= TRUST_PEERS) this.#forgetOne();
    const peer: Peer = {
      decision: undefined,
      until: 0,
      dueAt: 0,
      verdict: undefined,
      statement: undefined,
      seen: undefined,
      failures: 0,
      unlisted: undefined,
      listedAt: -Infinity,
      matters: false,
      loaded: false,
      judging: undefined,
    };
    this.#peers.set(server, peer);
    return peer;
  }

  /** What is forgotten is in the database. */
  #forgetOne(): void {
    let oldest: string | undefined;
    for (const [server, { matters, judging }] of this.#peers) {
      if (judging) continue;
      oldest ??= server;
      if (matters) continue;
      oldest = server;
      break;
    }
    if (oldest !== undefined) this.#peers.delete(oldest);
  }
}

/** One of the keys is enough: a server that changes its key may sign with both. */
function isListed({ verdict }: Pick<Peer, 'verdict'>, keys: readonly UsedKey[]): boolean {
  return keys.some(({ keyId, publicKey }) => verdict?.keys.get(keyId) === publicKey);
}

function decisionOf(verdict: Verdict, now: number): Decision {
  if (verdict.trusted) return { trusted: true, since: now, organisation: verdict.organisation };
  return { trusted: false, reason: verdict.reason, text: verdict.text, since: now };
}

function notListed({ keyId }: UsedKey, now: number): Refusal {
  const text = `It signs with the key ${keyId}, which its statement does not list. Its administrators have to make a new statement that lists it.`;
  return { trusted: false, reason: 'key-not-listed', text, since: now };
}

function isAlike(before: Decision | undefined, after: Decision): boolean {
  if (before === undefined || before.trusted !== after.trusted) return false;
  return before.trusted || after.trusted || before.reason === after.reason;
}

function retryMs(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 20), LONGEST_RETRY_MS);
}

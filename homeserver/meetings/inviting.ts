/**
 * Invitations to a meeting: every typed id has a result of its own. Organisations are asked side by side, each by one
 * try at a time, so that a server that hangs keeps nobody else waiting and is not asked for each of its people in turn.
 * What takes longer than a person waits goes on by itself, and its end is told.
 */
import type { Logger } from 'pino';
import { serverOf } from '../../federation/event.ts';
import { isUserId, withLowerServer } from '../../protocol/matrix-id.ts';
import type { InvitationOutcome, InvitationResult } from '../../protocol/session.ts';
import { isServerAccount } from '../accounts/localpart.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Visibility } from '../engine/visibility.ts';
import type { Organisations } from './organisations.ts';
import type { UndeliveredInvitation, UndeliveredInvitations } from './undelivered-invitations.ts';
import { unexpected } from '../base/log.ts';

/** People are answered after this time at the latest, in ms. */
const ANSWER_MS = 5_000;
/** Servers asked at the same time, and people invited at the same time through one that answers. */
const SERVERS_AT_ONCE = 20;
const PEOPLE_AT_ONCE = 4;
/** A server that did not answer is tried again after this time, then after ever longer ones, in ms. */
const FIRST_RETRY_MS = 15_000;
const LONGEST_RETRY_MS = 5 * 60 * 1000;
/** What is not delivered after this time has failed; what became of invitations is kept as long, in ms. */
const KEPT_MS = 60 * 60 * 1000;
/** Invitations on their way, of everybody. */
const MAX_OPEN = 10_000;

export interface InvitingOptions {
  readonly rooms: Rooms;
  readonly accounts: Accounts;
  readonly visibility: Visibility;
  readonly organisations: Organisations;
  readonly serverName: string;
  readonly undelivered: Pick<UndeliveredInvitations, 'put' | 'remove' | 'all'>;
  /** Called with the end of an invitation that was answered as pending. */
  readonly told: (sender: string, roomId: string, result: InvitationResult) => void;
  readonly log: Logger;
}

interface Job extends UndeliveredInvitation {
  /** Who has been told that this takes longer, each with the id as they typed it. */
  readonly waiting: Map<string, string>;
  readonly end: PromiseWithResolvers<InvitationResult>;
}

/** The part of a result that is found out. */
type Finding = Pick<InvitationResult, 'outcome' | 'errcode' | 'error' | 'reason'>;

export class Inviting {
  readonly #options: InvitingOptions;
  /** Invitations on their way, by room and person: to ask twice is to wait for the same end. */
  readonly #open = new Map<string, Job>();
  /** What became of invitations after their answer, by who asked and room. */
  readonly #late = new Map<string, Map<string, { result: InvitationResult; at: number }>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #queue: (() => void)[] = [];
  #busy = 0;
  #closed = false;
  readonly #unexpected: (error: unknown) => void;

  constructor(options: InvitingOptions) {
    this.#options = options;
    this.#unexpected = unexpected(options.log, 'invitations were not delivered');
  }

  /** Invites people. @returns one result for each, in the order of the ids, after some seconds at most */
  async invite(sender: string, roomId: string, typed: readonly string[]): Promise<InvitationResult[]> {
    const byServer = new Map<string, Job[]>();
    const answers = await Promise.all(
      [...new Set(typed)].map(async (text) => {
        const found = await this.#find(sender, roomId, text);
        if ('outcome' in found) return { typed: text, result: this.#result(text, found.target, found) };
        const key = keyOf(found);
        const running = this.#open.get(key);
        if (running) return { typed: text, job: running };
        if (this.#open.size >= MAX_OPEN) {
          return { typed: text, result: this.#result(text, found.target, { outcome: 'failed' }) };
        }
        this.#open.set(key, found);
        const server = serverOf(found.target);
        byServer.set(server, [...(byServer.get(server) ?? []), found]);
        return { typed: text, job: found };
      }),
    );
    for (const [server, jobs] of byServer) this.#deliver(server, jobs, FIRST_RETRY_MS).catch(this.#unexpected);
    const timeout = new Promise<undefined>((resolve) => {
      this.#after(ANSWER_MS, () => resolve(undefined));
    });
    return Promise.all(
      answers.map(async ({ typed: text, job, result }) => {
        if (!job) return result;
        const end = await Promise.race([job.end.promise, timeout]);
        if (end) return { ...end, userId: text };
        const pending = this.#wait(job, sender, text);
        await this.#options.undelivered.put(job).catch(this.#unexpected);
        // It may have come to its end meanwhile.
        return { ...(this.#open.get(keyOf(job)) === job ? pending : await job.end.promise), userId: text };
      }),
    );
  }

  /** Goes on with what was not delivered when the homeserver ended, once others can fetch our keys. */
  async resume(): Promise<void> {
    const byServer = new Map<string, Job[]>();
    for (const one of await this.#options.undelivered.all()) {
      if (this.#open.has(keyOf(one))) continue;
      const job: Job = { ...one, waiting: new Map(), end: Promise.withResolvers<InvitationResult>() };
      this.#open.set(keyOf(job), job);
      this.#wait(job, one.sender, one.typed);
      const server = serverOf(job.target);
      byServer.set(server, [...(byServer.get(server) ?? []), job]);
    }
    for (const [server, jobs] of byServer) this.#deliverAfter(FIRST_RETRY_MS, server, jobs, FIRST_RETRY_MS);
  }

  /** From now on the end of an invitation is told to somebody who asked for it. */
  #wait(job: Job, sender: string, typed: string): InvitationResult {
    job.waiting.set(sender, typed);
    const pending = this.#result(typed, job.target, { outcome: 'pending' });
    this.#keep(sender, job, pending);
    return pending;
  }

  /** A person's own invitations to a room that were answered as pending and are not delivered. */
  late(sender: string, roomId: string): InvitationResult[] {
    const since = Date.now() - KEPT_MS;
    const kept = [...(this.#late.get(`${sender} ${roomId}`)?.values() ?? [])];
    return kept.filter(({ at }) => at > since).map(({ result }) => result);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Reads an id. @returns what is known of it without asking anybody, else what is to be done */
  async #find(sender: string, roomId: string, typed: string): Promise<Job | (Finding & { target?: string })> {
    const { rooms } = this.#options;
    const text = withLowerServer(typed.trim());
    if (!isUserId(text)) return { outcome: 'bad-id' };
    const target = serverOf(text) === this.#options.serverName ? await this.#registered(sender, text) : text;
    if (target === undefined) return { outcome: 'no-such-person', target: text };
    if (target === sender) return { outcome: 'self', target };
    const present = outcomeOfMembership(await rooms.membership(roomId, target));
    if (present) return { outcome: present, target };
    const end = Promise.withResolvers<InvitationResult>();
    return { sender, roomId, typed, target, startedAt: Date.now(), waiting: new Map(), end };
  }

  /** Our own people as they are registered: their local parts have no capitals, what people type may. */
  async #registered(sender: string, userId: string): Promise<string | undefined> {
    const { accounts, visibility } = this.#options;
    for (const candidate of new Set([userId, userId.toLowerCase()])) {
      if (isServerAccount(candidate) || !(await accounts.exists(candidate))) continue;
      if (await visibility.maySee(sender, candidate)) return candidate;
    }
    return undefined;
  }

  /** Invites the people of one server. The first shows whether it answers; if it does not, the others wait with it. */
  async #deliver(server: string, jobs: readonly Job[], retryMs: number): Promise<void> {
    const left = await this.#inTurn(async () => {
      const waiting = [...jobs];
      let silent: Finding | undefined;
      const next = async (): Promise<void> => {
        for (let job = waiting.shift(); job && !this.#closed; job = silent ? undefined : waiting.shift()) {
          const finding = await this.#try(job);
          if (finding.outcome === 'unreachable') {
            silent = finding;
            waiting.push(job);
            return;
          }
          this.#settle(job, finding);
        }
      };
      // One alone, then several side by side.
      const first = waiting.shift();
      if (first) {
        const finding = await this.#try(first);
        if (finding.outcome === 'unreachable') return { jobs: [first, ...waiting], finding };
        this.#settle(first, finding);
      }
      await Promise.all(Array.from({ length: PEOPLE_AT_ONCE }, next));
      return { jobs: waiting, finding: silent };
    });
    if (this.#closed || !left.finding) return;
    const retried: Job[] = [];
    for (const job of left.jobs) {
      // Who still waits for the answer is told now; who was told that it takes longer is not given up so soon.
      if (job.waiting.size > 0 && Date.now() - job.startedAt + retryMs < KEPT_MS) retried.push(job);
      else this.#settle(job, left.finding);
    }
    if (retried.length === 0) return;
    this.#deliverAfter(retryMs, server, retried, Math.min(retryMs * 2, LONGEST_RETRY_MS));
  }

  #deliverAfter(ms: number, server: string, jobs: readonly Job[], retryMs: number): void {
    this.#after(ms, () => {
      this.#deliver(server, jobs, retryMs).catch(this.#unexpected);
    });
  }

  /** Never rejects. */
  async #try({ roomId, sender, target }: Job): Promise<Finding> {
    const { rooms, serverName, log } = this.#options;
    try {
      await rooms.invite(roomId, sender, target);
      return { outcome: 'invited' };
    } catch (error) {
      // Somebody else may have been faster, with an invitation or with a ban.
      const present = await rooms
        .membership(roomId, target)
        .then(outcomeOfMembership)
        .catch(() => undefined);
      if (present) return { outcome: present };
      if (!(error instanceof MatrixError)) {
        log.error({ err: error, roomId }, 'an invitation failed');
        return { outcome: 'failed', errcode: 'M_UNKNOWN', error: 'The invitation could not be delivered.' };
      }
      const details = { errcode: error.errcode, error: error.message };
      const isRemote = serverOf(target) !== serverName;
      const reason = error.extra['untrusted'];
      if (typeof reason === 'string') return { outcome: 'untrusted', reason, ...details };
      if (error.status === 404) return { outcome: 'no-such-person', ...details };
      if (error.status < 500) return { outcome: 'refused', ...details };
      return { outcome: isRemote ? 'unreachable' : 'failed', ...details };
    }
  }

  #settle(job: Job, finding: Finding): void {
    this.#open.delete(keyOf(job));
    job.end.resolve(this.#result(job.typed, job.target, finding));
    if (job.waiting.size === 0) return;
    this.#options.undelivered.remove(job.roomId, job.target).catch(this.#unexpected);
    for (const [sender, typed] of job.waiting) {
      const result = this.#result(typed, job.target, finding);
      this.#keep(sender, job, result);
      this.#options.told(sender, job.roomId, result);
    }
  }

  #keep(sender: string, { roomId, target }: Job, result: InvitationResult): void {
    const key = `${sender} ${roomId}`;
    const kept = this.#late.get(key) ?? new Map<string, { result: InvitationResult; at: number }>();
    if (result.ok) kept.delete(target);
    else kept.set(target, { result, at: Date.now() });
    if (kept.size === 0) this.#late.delete(key);
    else this.#late.set(key, kept);
    const since = Date.now() - KEPT_MS;
    for (const [of, entries] of this.#late) {
      for (const [userId, { at }] of entries) if (at <= since) entries.delete(userId);
      if (entries.size === 0) this.#late.delete(of);
    }
  }

  #result(userId: string, target: string | undefined, { outcome, errcode, error, reason }: Finding): InvitationResult {
    const { organisations, serverName } = this.#options;
    const server = target === undefined ? undefined : serverOf(target);
    return {
      userId,
      outcome,
      ok: outcome === 'invited' || outcome === 'already-invited',
      ...(errcode === undefined ? {} : { errcode }),
      ...(error === undefined ? {} : { error }),
      ...(reason === undefined ? {} : { reason }),
      ...(server === undefined || server === serverName
        ? {}
        : { organisation: server, organisationName: organisations.known(server).displayName }),
    };
  }

  /** Waits for a place among the servers that are asked at the same time. */
  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    if (this.#busy >= SERVERS_AT_ONCE) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#busy += 1;
    try {
      return await task();
    } finally {
      this.#busy -= 1;
      this.#queue.shift()?.();
    }
  }

  #after(ms: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}

function keyOf({ roomId, target }: Pick<UndeliveredInvitation, 'roomId' | 'target'>): string {
  return `${roomId} ${target}`;
}

function outcomeOfMembership(membership: string | undefined): InvitationOutcome | undefined {
  if (membership === 'join') return 'already-member';
  if (membership === 'invite') return 'already-invited';
  return membership === 'ban' ? 'banned' : undefined;
}

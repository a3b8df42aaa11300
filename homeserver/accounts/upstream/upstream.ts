/**
 * Sessions follow the identity provider: who is logged out, disabled or removed there is out here, and who logs out
 * here is logged out there. When the provider cannot be asked, everybody stays.
 */
import type { Transaction } from 'sequelize';
import type { Logger } from 'pino';
import { MatrixError } from '../../base/errors.ts';
import { every } from '../../base/every.ts';
import type { Accounts, Identity } from '../accounts.ts';
import { LoginError } from '../login-error.ts';
import type { Sessions } from '../sessions.ts';
import type { ShortLived, ShortLivedValues } from '../short-lived.ts';
import type { Tenants } from '../tenants/tenants.ts';
import type { ProviderSessions } from './provider-sessions.ts';
import { LogoutTokenError } from './logout-token.ts';
import { SealError } from '../seal.ts';
import type { DeviceKey, DueDevice, UpstreamGrant, UpstreamSession, UpstreamStore, Which } from './store.ts';

export interface UpstreamOptions {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly tenants: Pick<Tenants, 'placeOf'>;
  readonly provider: ProviderSessions;
  readonly store: UpstreamStore;
  readonly shortLived: ShortLived;
  /** Takes over what the provider says about somebody now. */
  readonly onIdentity: (userId: string, identity: Identity) => Promise<void>;
  /** Each session is checked again after this time at the latest, in ms. */
  readonly checkMs: number;
  readonly log: Logger;
  /** The clock, Unix ms. */
  readonly now?: () => number;
}

/** How many there are of these in `checkMs`: a round asks about all sessions that are due before the next one. */
const ROUNDS = 20;
const LONGEST_PAUSE_MS = 60_000;
/** Sessions that are asked about at the same time. */
const AT_ONCE = 4;
/** Sessions that are read at a time. */
const BATCH = 100;
/** So many sessions in a row about which it does not answer are not their own fault. */
const MOST_UNANSWERED = 8;
/**
 * How long somebody may be on the way from there to here, in ms: both steps of the OAuth 2.0 API may take ten minutes, and
 * the code is good for one more. Longer than any logout token is good for.
 */
const REMEMBERED_MS = 30 * 60 * 1000;

/** What a log-in has brought, until the device is known that it is for. */
interface Held {
  readonly grant?: UpstreamGrant | undefined;
}

/** What came of asking about one session. */
type Asked = 'answered' | 'unanswered' | 'away';

/** The device was logged in anew meanwhile. */
class AnotherSession extends Error {
  override readonly name = 'AnotherSession';
}

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #now: () => number;
  readonly #usedTokens: ShortLivedValues<true>;
  /** What has ended lately, and when: log-ins that were on their way then must not arrive. */
  readonly #ended: ShortLivedValues<number>;
  readonly #held: ShortLivedValues<Held>;
  readonly #stops: (() => void)[] = [];
  #round: Promise<void> | undefined;
  #wasDown = false;
  /** When the provider was seen away last, Unix ms. */
  #awayAt = -Infinity;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#usedTokens = options.shortLived.of('used-logout-token', REMEMBERED_MS);
    this.#ended = options.shortLived.of('ended-upstream', REMEMBERED_MS);
    this.#held = options.shortLived.of('held-grant', REMEMBERED_MS);
    this.#stops.push(
      options.sessions.onDeviceChange((userId, deviceId, change) => {
        if (change === 'deleted') this.#inBackground(this.#released(this.#key(userId, deviceId)));
      }),
    );
  }

  /** Begins to check sessions: now, and from time to time. */
  start(): void {
    const { checkMs, log } = this.#options;
    const undone = 'sessions were not checked at the identity provider';
    this.check().catch((error: unknown) => log.warn({ err: error }, undone));
    this.#stops.push(every(Math.min(checkMs / ROUNDS, LONGEST_PAUSE_MS), () => this.check(), log, undone));
  }

  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  /**
   * Logs in who has just proven at the provider who they are.
   *
   * @returns the user id
   * @throws LoginError when they belong to no tenant of this instance
   */
  async logIn(identity: Identity): Promise<string> {
    const { accounts, tenants, onIdentity } = this.#options;
    const userId = await accounts.logIn(identity, tenants.placeOf(identity));
    await onIdentity(userId, identity);
    return userId;
  }

  /** By what a device is logged in, for another device that this one lets in. */
  async grantOf(userId: string, deviceId: string): Promise<UpstreamGrant | undefined> {
    // Before: what ends meanwhile has ended after it.
    const at = this.#now();
    const session = await this.#session(this.#key(userId, deviceId));
    return session && { ...session, at };
  }

  /** Keeps what a log-in has brought until the device is known that it is for, under a name that nobody else knows. */
  async hold(name: string, grant: UpstreamGrant | undefined): Promise<void> {
    await this.#held.set(name, { grant });
  }

  /** What is kept under a name. It stays: whoever sends a form twice has logged in no other way the second time. */
  async held(name: string): Promise<Held | undefined> {
    return this.#held.get(name);
  }

  /** Notes for a device what is kept under a name, once, if anything is. @throws MatrixError as `admit` */
  async takeHeld(name: string, userId: string, deviceId: string): Promise<void> {
    const held = await this.#held.take(name);
    if (held === undefined) return;
    await this.note(this.#key(userId, deviceId), held.grant);
    await this.admit(userId, deviceId, held.grant);
  }

  /** Notes how a device is logged in; within the transaction that makes it. */
  async note(key: DeviceKey, grant: UpstreamGrant | undefined, transaction?: Transaction): Promise<void> {
    await this.#options.store.set(key, grant, transaction);
  }

  /**
   * To be called after a device was made of a grant.
   *
   * @throws MatrixError 403 when the session has ended meanwhile at the provider; the device is gone then
   */
  async admit(userId: string, deviceId: string, grant: UpstreamGrant | undefined): Promise<void> {
    if (grant === undefined || !(await this.#hasEnded(grant))) return;
    await this.#options.sessions.end(userId, deviceId);
    throw new MatrixError(403, 'M_FORBIDDEN', 'You have been logged out at your organisation meanwhile.');
  }

  /** Logs a device out, at the provider as well, and with that all devices of the same session there. */
  async logOut(userId: string, deviceId: string): Promise<void> {
    const session = await this.#session(this.#key(userId, deviceId));
    if (session === undefined) return;
    await this.#end(session);
    this.#inBackground(this.#options.provider.endSession(session));
    if (session.sid !== undefined) await this.#endHere(session.issuer, { sid: session.sid });
  }

  /**
   * Takes a logout token.
   *
   * @throws LogoutTokenError when it does not prove anything, or was used before
   * @throws LoginError when the provider's keys cannot be had
   */
  async takeLogoutToken(token: string): Promise<void> {
    const { provider, log } = this.#options;
    const { issuer, id, subject, sid } = await provider.verifyLogoutToken(token);
    if (!(await this.#usedTokens.add(id, true))) throw new LogoutTokenError('The token was used before.');
    const which = sid === undefined ? { subject: subject ?? '' } : { sid };
    let count: number;
    try {
      count = await this.#endHere(issuer, which);
    } catch (error) {
      // It has not done what it is for: it may come again.
      await this.#usedTokens.take(id);
      throw error;
    }
    log.info({ devices: count, by: sid === undefined ? 'subject' : 'session' }, 'logged out by the identity provider');
  }

  /** Asks about all sessions that are due. One round at a time. */
  check(): Promise<void> {
    return (this.#round ??= this.#check().finally(() => {
      this.#round = undefined;
    }));
  }

  async #check(): Promise<void> {
    const { store, provider, checkMs, log } = this.#options;
    // Two rounds early: that is how long one may be delayed.
    const dueBefore = this.#now() - checkMs + 2 * Math.min(checkMs / ROUNDS, LONGEST_PAUSE_MS);
    const count: Record<Asked, number> = { answered: 0, unanswered: 0, away: 0 };
    const givesUp = (): boolean => count.away > 0 || (count.answered === 0 && count.unanswered >= MOST_UNANSWERED);
    for (;;) {
      // Each of these is not due any more when it was asked about, whatever came of it.
      const due = await store.due(dueBefore, BATCH);
      if (due.length === 0) break;
      const left = due.values();
      const askInTurn = async (): Promise<void> => {
        for (const key of left) {
          if (givesUp()) return;
          count[await this.#checkSafely(key)] += 1;
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, askInTurn));
      if (givesUp()) break;
    }
    if (givesUp()) provider.noteAway();
    const isThere = !givesUp() && (count.answered + count.unanswered > 0 || (await provider.isThere()));
    if (!isThere && !this.#wasDown) {
      log.warn(
        'the identity provider does not answer: sessions cannot be checked there, and everybody stays logged in',
      );
    } else if (isThere && this.#wasDown) log.info('the identity provider answers again');
    this.#wasDown = !isThere;
    if (!isThere) this.#awayAt = this.#now();
  }

  /** What fails here is no matter of the other sessions, and no reason to ask about them twice at once. */
  async #checkSafely(key: DueDevice): Promise<Asked> {
    const { store, checkMs, log } = this.#options;
    try {
      return await this.#checkOne(key);
    } catch (error) {
      log.error({ err: error }, 'a session could not be checked, and stays');
      await store.postpone(key, checkMs);
      return 'answered';
    }
  }

  async #checkOne({ isGone, ...key }: DueDevice): Promise<Asked> {
    const { store, provider, checkMs, log } = this.#options;
    const session = await this.#session(key);
    if (session?.refreshToken === undefined) {
      await store.remove(key);
      return 'answered';
    }
    // We were ended when the device was gone and its session there not yet.
    if (isGone) {
      this.#inBackground(this.#released(key));
      await store.checked(session);
      return 'answered';
    }
    const answer = await provider.refresh(session.refreshToken, session.subject);
    switch (answer.kind) {
      case 'good':
        await store.checked(session, { idToken: answer.idToken ?? session.idToken, refreshToken: answer.refreshToken });
        if (answer.identity) await this.#follow(session, answer.identity);
        return 'answered';
      case 'ended':
        // A provider that was away may have lost what it knew. It is asked once more, as late as about any other session.
        if (!answer.proven && session.checkedAt <= this.#awayAt) {
          const doubt =
            'the identity provider knows a session no more since it was away: it stays until that is said again';
          log.warn({ reason: answer.reason }, doubt);
          await store.checked(session);
          return 'answered';
        }
        if (await this.#endSame(session)) {
          log.info({ reason: answer.reason }, 'a session has ended at the identity provider');
        }
        return 'answered';
      case 'odd':
        log.warn({ err: answer.error }, 'the identity provider has answered oddly about a session, which stays');
        await store.checked(session);
        return 'answered';
      case 'unavailable':
        if (!(await provider.isThere())) return 'away';
        // It answers others: this one must not stand in their way.
        await store.postpone(session, checkMs);
        return 'unanswered';
    }
  }

  /** Takes over who somebody is now. Who belongs to no tenant any more is out. */
  async #follow({ localpart, deviceId }: DeviceKey, identity: Identity): Promise<void> {
    const { accounts, sessions, tenants, onIdentity, log } = this.#options;
    const userId = accounts.userId(localpart);
    try {
      const place = tenants.placeOf(identity);
      if (place !== undefined) await accounts.move(userId, place);
      await onIdentity(userId, identity);
    } catch (error) {
      if (!(error instanceof LoginError)) throw error;
      log.warn({ err: error }, 'somebody belongs to no tenant of this instance any more');
      await sessions.end(userId, deviceId);
    }
  }

  /** The session of a device. One that cannot be read any more has to log in anew. */
  async #session(key: DeviceKey): Promise<UpstreamSession | undefined> {
    const { store, log } = this.#options;
    try {
      return await store.of(key);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      log.error({ err: error }, 'a session cannot be checked, as the key of sessions is another one: it ends');
      await this.#end(key);
      return undefined;
    }
  }

  /** Ends a device and its tie to the provider, both or neither. */
  async #end(key: DeviceKey): Promise<void> {
    const { store, sessions, accounts } = this.#options;
    await sessions.end(accounts.userId(key.localpart), key.deviceId, (transaction) => store.remove(key, transaction));
  }

  /** Ends a device as long as it has the session that was asked about. @returns whether it had */
  async #endSame(session: UpstreamSession): Promise<boolean> {
    const { store, sessions, accounts } = this.#options;
    const { localpart, deviceId } = session;
    try {
      await sessions.end(accounts.userId(localpart), deviceId, async (transaction) => {
        if (!(await store.removeSame(session, transaction))) throw new AnotherSession();
      });
      return true;
    } catch (error) {
      if (error instanceof AnotherSession) return false;
      throw error;
    }
  }

  async #endHere(issuer: string, which: Which): Promise<number> {
    const { store, provider } = this.#options;
    for (let count = 0; ;) {
      // First: a device that is made from now on sees it, one that was made before is found.
      await this.#ended.set(nameOf(which), this.#now());
      const devices = await store.devices(issuer, which);
      // Until there is none: one may have let in another.
      if (devices.length === 0) return count;
      for (const device of devices) {
        const session = await this.#session(device);
        // What has ended there needs no log-out there; Keycloak keeps the token that outlives it.
        if (session) this.#inBackground(provider.revoke(session));
        await this.#end(device);
      }
      count += devices.length;
    }
  }

  async #hasEnded({ sid, subject, at }: UpstreamGrant): Promise<boolean> {
    if (sid !== undefined && (await this.#ended.get(nameOf({ sid }))) !== undefined) return true;
    return ((await this.#ended.get(nameOf({ subject }))) ?? 0) >= at;
  }

  /** A device is gone: its session at the provider ends, unless another device has the same. */
  async #released(key: DeviceKey): Promise<void> {
    const { store, provider } = this.#options;
    const session = await this.#session(key);
    if (session === undefined) return;
    await store.remove(key);
    const { issuer, sid } = session;
    if (sid === undefined || (await store.devices(issuer, { sid })).length === 0) await provider.endSession(session);
  }

  #inBackground(work: Promise<void>): void {
    work.catch((error: unknown) =>
      this.#options.log.warn({ err: error }, 'a session was not ended at the identity provider'),
    );
  }

  #key(userId: string, deviceId: string): DeviceKey {
    return { localpart: this.#options.accounts.localpart(userId) ?? '', deviceId };
  }
}

function nameOf(which: Which): string {
  return 'sid' in which ? `sid ${which.sid}` : `subject ${which.subject}`;
}

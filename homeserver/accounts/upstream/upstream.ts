/**
 * Sessions follow the identity provider: who is logged out, disabled or removed there is out here, and who logs out
 * here is logged out there. When the provider cannot be asked, everybody stays.
 */
import type { Transaction } from 'sequelize';
import type { Logger } from 'pino';
import { MatrixError } from '../../base/errors.ts';
import { every } from '../../base/every.ts';
import { ExpiringMap } from '../../base/expiring-map.ts';
import type { Accounts, Identity } from '../accounts.ts';
import { LoginError } from '../login-error.ts';
import type { Sessions } from '../sessions.ts';
import type { Tenants } from '../tenants/tenants.ts';
import type { ProviderSessions } from './provider-sessions.ts';
import { LogoutTokenError } from './logout-token.ts';
import { SealError } from './seal.ts';
import type { DeviceKey, UpstreamGrant, UpstreamSession, UpstreamStore, Which } from './store.ts';

export interface UpstreamOptions {
  readonly accounts: Accounts;
  readonly sessions: Sessions;
  readonly tenants: Pick<Tenants, 'placeOf'>;
  readonly provider: ProviderSessions;
  readonly store: UpstreamStore;
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
/**
 * How long somebody may be on the way from there to here, in ms: both steps of the OAuth 2.0 API may take ten minutes, and
 * the code is good for one more. Longer than any logout token is good for.
 */
const REMEMBERED_MS = 30 * 60 * 1000;
const MAX_REMEMBERED = 20_000;

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #now: () => number;
  readonly #usedTokens: ExpiringMap<true>;
  /** What has ended lately, and when: log-ins that were on their way then must not arrive. */
  readonly #ended: ExpiringMap<number>;
  readonly #held: ExpiringMap<{ readonly grant: UpstreamGrant | undefined }>;
  readonly #stops: (() => void)[] = [];
  #round: Promise<void> | undefined;
  #wasDown = false;
  /** When the provider was seen away last, Unix ms. */
  #awayAt = -Infinity;

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const bounds = { lifeMs: REMEMBERED_MS, maxSize: MAX_REMEMBERED, now: this.#now };
    this.#usedTokens = new ExpiringMap(bounds);
    this.#ended = new ExpiringMap(bounds);
    this.#held = new ExpiringMap(bounds);
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
  hold(name: string, grant: UpstreamGrant | undefined): void {
    this.#held.set(name, { grant });
  }

  /** What is kept under a name. It stays: whoever sends a form twice has logged in no other way the second time. */
  held(name: string): { readonly grant: UpstreamGrant | undefined } | undefined {
    return this.#held.get(name);
  }

  /** Notes for a device what is kept under a name, once, if anything is. @throws MatrixError as `admit` */
  async takeHeld(name: string, userId: string, deviceId: string): Promise<void> {
    const held = this.#held.take(name);
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
    if (grant === undefined || !this.#hasEnded(grant)) return;
    await this.#options.sessions.end(userId, deviceId);
    throw new MatrixError(403, 'M_FORBIDDEN', 'You have been logged out at your organisation meanwhile.');
  }

  /** Who logs out does so at the provider as well, and with that on all devices of the same session there. */
  async logOut(userId: string, deviceId: string): Promise<void> {
    const session = await this.#session(this.#key(userId, deviceId));
    if (session === undefined) return;
    await this.#options.store.remove(session);
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
    if (this.#usedTokens.get(id) === true) throw new LogoutTokenError('The token was used before.');
    this.#usedTokens.set(id, true);
    const which = sid === undefined ? { subject: subject ?? '' } : { sid };
    const count = await this.#endHere(issuer, which);
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
    let isThere = true;
    let asked = 0;
    for (;;) {
      const due = await store.due(dueBefore, AT_ONCE);
      if (due.length === 0) break;
      asked += due.length;
      const answered = await Promise.all(due.map((key) => this.#checkOne(key)));
      isThere = answered.every(Boolean);
      if (!isThere) break;
    }
    if (asked === 0) isThere = await provider.isThere();
    if (!isThere && !this.#wasDown) {
      log.warn(
        'the identity provider does not answer: sessions cannot be checked there, and everybody stays logged in',
      );
    } else if (isThere && this.#wasDown) log.info('the identity provider answers again');
    this.#wasDown = !isThere;
    if (!isThere) this.#awayAt = this.#now();
  }

  /** @returns whether the provider has answered */
  async #checkOne(key: DeviceKey): Promise<boolean> {
    const { store, provider, accounts, onIdentity, log } = this.#options;
    const session = await this.#session(key);
    if (session?.refreshToken === undefined) {
      await store.remove(key);
      return true;
    }
    const answer = await provider.refresh(session.refreshToken, session.subject);
    switch (answer.kind) {
      case 'good':
        await store.checked(session, answer);
        try {
          const place = this.#options.tenants.placeOf(answer.identity);
          if (place !== undefined) await accounts.move(accounts.userId(session.localpart), place);
          await onIdentity(accounts.userId(session.localpart), answer.identity);
        } catch (error) {
          if (!(error instanceof LoginError)) throw error;
          log.warn({ err: error }, 'somebody belongs to no tenant of this instance any more');
          await this.#options.sessions.end(accounts.userId(session.localpart), session.deviceId);
        }
        return true;
      case 'ended':
        // A provider that was away may have lost what it knew. It is asked once more, as late as about any other session.
        if (!answer.proven && session.checkedAt <= this.#awayAt) {
          const doubt =
            'the identity provider knows a session no more since it was away: it stays until that is said again';
          log.warn({ reason: answer.reason }, doubt);
          await store.checked(session);
          return true;
        }
        log.info({ reason: answer.reason }, 'a session has ended at the identity provider');
        await store.remove(session);
        await this.#options.sessions.end(accounts.userId(session.localpart), session.deviceId);
        return true;
      case 'odd':
        log.warn({ err: answer.error }, 'the identity provider has answered oddly about a session, which stays');
        await store.checked(session);
        return true;
      case 'unavailable':
        return false;
    }
  }

  /** The session of a device. One that cannot be read any more has to log in anew. */
  async #session(key: DeviceKey): Promise<UpstreamSession | undefined> {
    const { store, sessions, accounts, log } = this.#options;
    try {
      return await store.of(key);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      log.error({ err: error }, 'a session cannot be checked, as the key of sessions is another one: it ends');
      await store.remove(key);
      await sessions.end(accounts.userId(key.localpart), key.deviceId);
      return undefined;
    }
  }

  async #endHere(issuer: string, which: Which): Promise<number> {
    const { store, sessions, provider, accounts } = this.#options;
    for (let count = 0; ;) {
      // First: a device that is made from now on sees it, one that was made before is found.
      this.#ended.take(nameOf(which));
      this.#ended.set(nameOf(which), this.#now());
      const devices = await store.devices(issuer, which);
      // Until there is none: one may have let in another.
      if (devices.length === 0) return count;
      for (const device of devices) {
        const session = await this.#session(device);
        // What has ended there needs no log-out there; Keycloak keeps the token that outlives it.
        if (session) this.#inBackground(provider.revoke(session));
        await store.remove(device);
        await sessions.end(accounts.userId(device.localpart), device.deviceId);
      }
      count += devices.length;
    }
  }

  #hasEnded({ sid, subject, at }: UpstreamGrant): boolean {
    if (sid !== undefined && this.#ended.get(nameOf({ sid })) !== undefined) return true;
    return (this.#ended.get(nameOf({ subject })) ?? 0) >= at;
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

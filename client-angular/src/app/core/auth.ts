/**
 * The Matrix session of this browser: log-in by the organisation's identity provider, guests by link, refresh,
 * log-out. A log-in lasts in localStorage; a guest's session ends with the tab.
 */
import { computed, Injectable, signal } from '@angular/core';
import * as z from 'zod';
import { ApiError } from './api-error.ts';
import { requestJson, type RequestOptions } from './request.ts';

const STORAGE_KEY = 'hansetag-session';
const AFTER_LOGIN_KEY = 'hansetag-after-login';
/** What the log-in that this tab has started is known by when it comes back. */
const LOGIN_KEY = 'hansetag-login';
const GUEST_LINK_KEY = 'hansetag-guest-link';
/** What the person has written and not sent, in sessionStorage: it stays when a session runs out and goes with a log-out. */
export const UNSENT_KEY = 'hansetag-unsent';
/** A token is refreshed when it has less than this left, in ms. */
const REFRESH_AHEAD_MS = 30_000;

const storedSchema = z.object({
  userId: z.string().min(3).max(255),
  deviceId: z.string().max(255),
  accessToken: z.string().min(1).max(4096),
  refreshToken: z.string().max(4096).optional(),
  /** Unix ms. */
  expiresAt: z.number().optional(),
  guest: z.boolean(),
});
export type StoredSession = z.infer<typeof storedSchema>;

const guestLinkSchema = z.object({
  /** The secret part of the link. */
  token: z.string().min(1).max(64),
  roomId: z.string().min(2).max(255),
  name: z.string().max(100),
});
/** By which link somebody is a guest here, and of which name. It outlives the guest's session, until the tab is closed. */
export type GuestLink = z.infer<typeof guestLinkSchema>;

/** A session that came to its end without being asked to: it ran out, or somebody ended it. */
export interface SessionEnd {
  guest: boolean;
}

const loginAnswerSchema = z.object({
  user_id: z.string(),
  access_token: z.string(),
  device_id: z.string(),
  refresh_token: z.string().optional(),
  expires_in_ms: z.number().optional(),
});
const refreshAnswerSchema = z.object({
  access_token: z.string(),
  refresh_token: z.string().optional(),
  expires_in_ms: z.number().optional(),
});

function expiry(expiresInMs: number | undefined): { expiresAt?: number } {
  return expiresInMs === undefined ? {} : { expiresAt: Date.now() + expiresInMs };
}

function parsed<S extends z.ZodType>(schema: S, text: string | null): z.output<S> | undefined {
  if (!text) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function read(): StoredSession | undefined {
  return parsed(storedSchema, sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(STORAGE_KEY));
}

@Injectable({ providedIn: 'root' })
export class Auth {
  readonly #session = signal<StoredSession | undefined>(read());
  readonly session = this.#session.asReadonly();
  readonly loggedIn = computed(() => this.#session() !== undefined);
  readonly userId = computed(() => this.#session()?.userId);
  readonly guest = computed(() => this.#session()?.guest ?? false);
  readonly #ended = signal<SessionEnd | undefined>(undefined);
  /** The end of the last session, until there is another one; undefined when the person has logged out. */
  readonly ended = this.#ended.asReadonly();
  readonly #guestLink = signal(parsed(guestLinkSchema, sessionStorage.getItem(GUEST_LINK_KEY)));
  readonly guestLink = this.#guestLink.asReadonly();
  #refreshing: Promise<string | undefined> | undefined;

  /** Leaves the page for the identity provider; `login` finishes what comes back. */
  startLogin(then: string): void {
    sessionStorage.setItem(AFTER_LOGIN_KEY, then);
    location.assign(`/_matrix/client/v3/login/sso/redirect?redirectUrl=${encodeURIComponent(this.loginReturn())}`);
  }

  /** The address to come back to from a log-in that is started now: only this tab can finish it. */
  loginReturn(): string {
    const attempt = Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('');
    sessionStorage.setItem(LOGIN_KEY, attempt);
    const back = new URL('login', document.baseURI);
    back.searchParams.set('attempt', attempt);
    return back.href;
  }

  /**
   * Whether this tab has started the log-in that comes back; once. A token that somebody else has sent here would log the
   * person in with that other one's account, without their noticing.
   */
  isOwnLogin(attempt: string | undefined): boolean {
    const started = sessionStorage.getItem(LOGIN_KEY);
    sessionStorage.removeItem(LOGIN_KEY);
    return started !== null && started === attempt;
  }

  /**
   * Exchanges the token from the identity provider for a session.
   * @returns the path inside the client that the person wanted before the log-in
   */
  async finishLogin(loginToken: string): Promise<string> {
    const answer = await requestJson(loginAnswerSchema, '/_matrix/client/v3/login', {
      method: 'POST',
      body: {
        type: 'm.login.token',
        token: loginToken,
        initial_device_display_name: 'Hansetag Web',
        refresh_token: true,
      },
    });
    this.#store({
      userId: answer.user_id,
      deviceId: answer.device_id,
      accessToken: answer.access_token,
      ...(answer.refresh_token === undefined ? {} : { refreshToken: answer.refresh_token }),
      ...expiry(answer.expires_in_ms),
      guest: false,
    });
    const then = this.afterLogin();
    sessionStorage.removeItem(AFTER_LOGIN_KEY);
    return then;
  }

  /** The path inside the client that the person wanted when the log-in was started. */
  afterLogin(): string {
    const then = sessionStorage.getItem(AFTER_LOGIN_KEY) ?? '/';
    return then.startsWith('/') ? then : '/';
  }

  /** Begins a guest's session; one that this tab had before is ended. @param link how the guest comes back to it */
  enterAsGuest(
    session: { userId: string; deviceId: string; accessToken: string; expiresInMs?: number | undefined },
    link?: GuestLink,
  ): void {
    const before = this.#session();
    if (before?.guest) void endOnServer(before.accessToken);
    const { userId, deviceId, accessToken, expiresInMs } = session;
    if (link) {
      sessionStorage.setItem(GUEST_LINK_KEY, JSON.stringify(link));
      this.#guestLink.set(link);
    }
    this.#store({ userId, deviceId, accessToken, ...expiry(expiresInMs), guest: true });
  }

  /** Ends the session on the server and here. Not reaching the server does not keep anybody logged in here. */
  async logout(): Promise<void> {
    const session = this.#session();
    this.#forget(undefined);
    sessionStorage.removeItem(UNSENT_KEY);
    if (session) await endOnServer(session.accessToken);
  }

  /** The server says that the session has ended: looks whether it can be renewed, and forgets it otherwise. */
  async check(): Promise<void> {
    const session = this.#session();
    // Without an answer of the server nothing is known, and the next request will tell.
    if (session) await this.renew(session.accessToken).catch(() => undefined);
  }

  /** An access token that is good for now, or undefined when the person must log in again. */
  async accessToken(): Promise<string | undefined> {
    const session = this.#session();
    if (!session) return undefined;
    if (session.expiresAt === undefined || session.expiresAt - Date.now() > REFRESH_AHEAD_MS)
      return session.accessToken;
    return await this.renew(session.accessToken);
  }

  /** Replaces a token that was refused or is about to expire; single flight in this tab and between tabs. */
  renew(refused: string): Promise<string | undefined> {
    this.#refreshing ??= navigator.locks
      .request('hansetag-refresh', () => this.#renew(refused))
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  async #renew(refused: string): Promise<string | undefined> {
    const current = this.#session();
    if (!current) return undefined;
    const end = { guest: current.guest };
    const stored = read();
    // Another tab has logged out, or somebody else in: that is no renewal of this session.
    if (stored?.userId !== current.userId) {
      this.#ended.set(end);
      this.#session.set(undefined);
      return undefined;
    }
    // Another tab may have done it already.
    if (stored.accessToken !== refused) {
      this.#session.set(stored);
      return stored.accessToken;
    }
    if (stored.refreshToken === undefined) {
      this.#forget(end);
      return undefined;
    }
    try {
      const answer = await requestJson(refreshAnswerSchema, '/_matrix/client/v3/refresh', {
        method: 'POST',
        body: { refresh_token: stored.refreshToken },
      });
      this.#store({
        ...stored,
        accessToken: answer.access_token,
        refreshToken: answer.refresh_token ?? stored.refreshToken,
        ...expiry(answer.expires_in_ms),
      });
      return answer.access_token;
    } catch (error) {
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
        this.#forget(end);
        return undefined;
      }
      throw error;
    }
  }

  /**
   * A request in the name of the logged-in person. A refused token is renewed once.
   * @throws ApiError with status 401 when the session has ended
   */
  async request<S extends z.ZodType>(schema: S, path: string, options: RequestOptions = {}): Promise<z.output<S>> {
    const accessToken = await this.accessToken();
    if (accessToken === undefined) throw new ApiError(401, 'M_MISSING_TOKEN', 'not logged in');
    try {
      return await requestJson(schema, path, { ...options, accessToken });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      const renewed = await this.renew(accessToken);
      if (renewed === undefined) throw error;
      return await requestJson(schema, path, { ...options, accessToken: renewed });
    }
  }

  #store(session: StoredSession): void {
    const storage = session.guest ? sessionStorage : localStorage;
    storage.setItem(STORAGE_KEY, JSON.stringify(session));
    if (!session.guest) {
      sessionStorage.removeItem(STORAGE_KEY);
      sessionStorage.removeItem(GUEST_LINK_KEY);
      this.#guestLink.set(undefined);
    }
    this.#ended.set(undefined);
    this.#session.set(session);
  }

  #forget(end: SessionEnd | undefined): void {
    const guest = this.#session()?.guest ?? false;
    (guest ? sessionStorage : localStorage).removeItem(STORAGE_KEY);
    // Two requests may learn of the same end; the second one knows no session any more.
    if (this.#session()) this.#ended.set(end);
    this.#session.set(undefined);
  }
}

async function endOnServer(accessToken: string): Promise<void> {
  await requestJson(z.unknown(), '/_matrix/client/v3/logout', { method: 'POST', body: {}, accessToken }).catch(
    () => undefined,
  );
}

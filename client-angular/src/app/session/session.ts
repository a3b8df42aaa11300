/** The one live session of this tab, shared by home, lobby and conference. */
import { effect, inject, Injectable, signal, untracked } from '@angular/core';
import type { Method, NotificationData, NotificationName, Params, Result } from '../../../../protocol/session.ts';
import { Auth } from '../core/auth.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { type ConnectionState, SessionConnection } from './connection.ts';

const PATH = '/_hansetag/client/v1/session';

export interface SessionListener {
  onNewSession?(hello: Result<'hello'>): void;
  onNotification?<N extends NotificationName>(name: N, data: NotificationData<N>): void;
}

@Injectable({ providedIn: 'root' })
export class Session {
  readonly #auth = inject(Auth);
  readonly #names = inject(OrganisationNames);
  readonly #state = signal<ConnectionState>('idle');
  readonly state = this.#state.asReadonly();
  readonly #hello = signal<Result<'hello'> | undefined>(undefined);
  /** Who we are, as the server says; undefined before the first hello. */
  readonly hello = this.#hello.asReadonly();
  readonly #listeners = new Set<SessionListener>();

  readonly #connection = new SessionConnection({
    open: () => new WebSocket(new URL(PATH, location.href.replace(/^http/, 'ws'))),
    accessToken: (refused) => (refused === undefined ? this.#auth.accessToken() : this.#auth.renew(refused)),
    onState: (state) => this.#state.set(state),
    onNewSession: (hello) => {
      this.#hello.set(hello);
      this.#names.learn([hello.organisation]);
      for (const listener of [...this.#listeners]) listener.onNewSession?.(hello);
    },
    onNotification: (name, data) => {
      this.#listen(name, data);
      for (const listener of [...this.#listeners]) listener.onNotification?.(name, data);
    },
  });

  constructor() {
    addEventListener('online', () => this.#connection.hurry());
    // Another person, another session.
    let known = this.#auth.userId();
    effect(() => {
      const userId = this.#auth.userId();
      if (userId === known) return;
      known = userId;
      untracked(() => {
        this.#connection.close();
        this.#hello.set(undefined);
        if (this.#auth.loggedIn()) this.#connection.start();
      });
    });
  }

  /** What concerns the session itself, whatever screen is shown. */
  #listen<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    if (name === 'organisation.seen') this.#names.learn([data as NotificationData<'organisation.seen'>]);
    if (name !== 'conference.ended') return;
    const { reason } = data as NotificationData<'conference.ended'>;
    if (reason === 'signed-out') void this.#auth.check();
  }

  /** Makes sure that the connection is there or being made. */
  start(): void {
    if (this.#auth.loggedIn()) this.#connection.start();
  }

  listen(listener: SessionListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws SessionError */
  request<M extends Exclude<Method, 'hello'>>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.#connection.request(method, params);
  }
}

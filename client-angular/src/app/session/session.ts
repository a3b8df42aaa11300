/** The one live session of this tab, shared by home, lobby and conference. */
import { effect, inject, Injectable, signal, untracked } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { filter, map, type Observable } from 'rxjs';
import type { Method, NotificationData, NotificationName, Params, Result } from '../../../../protocol/session.ts';
import { Auth } from '../core/auth.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { SessionConnection } from './connection.ts';

const PATH = '/_hansetag/client/v1/session';

@Injectable({ providedIn: 'root' })
export class Session {
  readonly #auth = inject(Auth);
  readonly #names = inject(OrganisationNames);
  readonly #connection = new SessionConnection({
    open: () => new WebSocket(new URL(PATH, location.href.replace(/^http/, 'ws'))),
    accessToken: (refused) => (refused === undefined ? this.#auth.accessToken() : this.#auth.renew(refused)),
  });
  readonly state = toSignal(this.#connection.states, { requireSync: true });
  readonly #hello = signal<Result<'hello'> | undefined>(undefined);
  /** Who we are, as the server says; undefined before the first hello. */
  readonly hello = this.#hello.asReadonly();
  /** A session was made that knows nothing of the one before. */
  readonly newSessions = this.#connection.newSessions;
  readonly notifications = this.#connection.notifications;

  constructor() {
    // First of all who listens, so that the others find it known.
    this.newSessions.subscribe((hello) => {
      this.#hello.set(hello);
      this.#names.learn([hello.organisation]);
    });
    this.on('organisation.seen').subscribe((organisation) => this.#names.learn([organisation]));
    this.on('conference.ended').subscribe(({ reason }) => {
      if (reason === 'signed-out') void this.#auth.check();
    });
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

  /** Makes sure that the connection is there or being made. */
  start(): void {
    if (this.#auth.loggedIn()) this.#connection.start();
  }

  /** The notifications of one name. */
  on<N extends NotificationName>(name: N): Observable<NotificationData<N>> {
    return this.notifications.pipe(
      filter((notification) => notification.name === name),
      map(({ data }) => data as NotificationData<N>),
    );
  }

  /** @throws SessionError */
  request<M extends Exclude<Method, 'hello'>>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.#connection.request(method, params);
  }
}

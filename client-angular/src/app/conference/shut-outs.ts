/** Which organisations are shut out of the running meeting. */
import { inject, Injectable, signal } from '@angular/core';
import type { NotificationData } from '../../../../protocol/session.ts';
import { isolate } from '../core/isolate.ts';
import { Session } from '../session/session.ts';
import { Acting } from './acting.ts';
import { ConferenceStore } from './store.ts';
import { Told } from './told.ts';

@Injectable({ providedIn: 'root' })
export class ShutOuts {
  readonly #acting = inject(Acting);
  readonly #session = inject(Session);
  readonly #store = inject(ConferenceStore);
  readonly #told = inject(Told);
  readonly #names = signal<readonly string[]>([]);
  /** By the names in the meeting's access list. */
  readonly names = this.#names.asReadonly();

  /** Asks which they are. Without an answer it stays with what was told. */
  async load(): Promise<void> {
    const answer = await this.#session.request('organisations.list-shut-out', {}).catch(() => undefined);
    if (answer) this.#names.set(answer.shutOut);
  }

  clear(): void {
    this.#names.set([]);
  }

  /** Somebody has changed it: everybody is told who and what. */
  changed({ shutOut, by, organisation }: NotificationData<'organisations.shut-out-changed'>): void {
    const before = this.#names();
    this.#names.set(shutOut);
    const name = isolate(by);
    const from = isolate(this.#store.organisation(organisation).displayName);
    for (const one of shutOut.filter((each) => !before.includes(each))) {
      this.#told.tell(
        $localize`:@@shutOut.done:${name}:NAME: (${from}:ORGANISATION:) has shut ${isolate(one)}:OTHER: out of this meeting.`,
      );
    }
    for (const one of before.filter((each) => !shutOut.includes(each))) {
      this.#told.tell(
        $localize`:@@shutOut.undone:${name}:NAME: (${from}:ORGANISATION:) lets ${isolate(one)}:OTHER: take part again. Its people need an invitation.`,
      );
    }
  }

  async shutOut(serverName: string): Promise<void> {
    this.#unreached(await this.#acting.ask('organisations.shut-out', { serverName }), serverName);
  }

  async letIn(serverName: string): Promise<void> {
    await this.#acting.ask('organisations.let-in', { serverName });
  }

  /** The one that was shut out may have been the one that did not answer: for the others that changes nothing. */
  #unreached(answer: { unreached: string[] } | undefined, serverName: string): void {
    const others = (answer?.unreached ?? []).filter((one) => one !== serverName);
    if (others.length === 0) return;
    const organisations = others.map((one) => isolate(this.#store.organisation(one).displayName)).join(', ');
    this.#told.tell(
      $localize`:@@shutOut.unreached:${organisations}:ORGANISATIONS: could not be reached: there the organisation may still take part for a while.`,
    );
  }
}

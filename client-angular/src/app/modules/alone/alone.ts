/** Nobody else is in the meeting: what the server does about it, and the question whether to stay. */
import { computed, inject, Injectable, LOCALE_ID, signal } from '@angular/core';
import type { AloneState } from '../../../../../protocol/modules/alone.ts';
import { Acting } from '../../conference/acting.ts';
import { Told } from '../../conference/told.ts';
import { Announcements } from '../../core/announcements.ts';
import { LOCAL_KINDS, LocalMedia } from '../../media/local-media.ts';

@Injectable({ providedIn: 'root' })
export class Alone {
  readonly #acting = inject(Acting);
  readonly #announcements = inject(Announcements);
  readonly #local = inject(LocalMedia);
  readonly #told = inject(Told);
  readonly #time = new Intl.DateTimeFormat(inject(LOCALE_ID), { hour: 'numeric', minute: '2-digit' });
  readonly #state = signal<{ readonly asked: boolean; readonly leavesAt: number | undefined }>({
    asked: false,
    leavesAt: undefined,
  });
  /** The question; undefined while nothing is asked. */
  readonly question = computed(() => {
    const { asked, leavesAt } = this.#state();
    if (!asked) return undefined;
    const question = $localize`:@@alone.question:You have been alone in this meeting for a while. Do you want to stay?`;
    if (leavesAt === undefined) return question;
    const time = this.#time.format(leavesAt);
    return `${question} ${$localize`:@@alone.leaves:Without an answer you leave it at ${time}:TIME:.`}`;
  });

  load(state: AloneState | undefined): void {
    this.#set(state ?? { stage: 'together' });
  }

  changed(state: AloneState): void {
    this.#set(state);
    if (state.stage === 'media-off') this.#mediaOff();
    const question = this.question();
    if (question !== undefined) this.#announcements.now(question);
  }

  forget(): void {
    this.#set({ stage: 'together' });
  }

  async stay(): Promise<void> {
    if (await this.#acting.ask('alone.stay', {})) this.#set({ stage: 'alone' });
  }

  #set({ stage, leavesInMs }: AloneState): void {
    this.#state.set({
      asked: stage === 'asked',
      leavesAt: leavesInMs === undefined ? undefined : Date.now() + leavesInMs,
    });
  }

  /** The server does not let it through any more; the devices are released as well. */
  #mediaOff(): void {
    const on = LOCAL_KINDS.filter((kind) => this.#local.source(kind)().on);
    for (const kind of on) void this.#local.turn(kind, false);
    if (on.length === 0) return;
    this.#told.tell(
      $localize`:@@alone.mediaOff:You are alone in this meeting: camera and microphone were switched off. Turn them on again when somebody comes.`,
    );
  }
}

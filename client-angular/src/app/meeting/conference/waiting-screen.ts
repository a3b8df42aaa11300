/** Before the conference: who must wait is told for what, and that nothing is sent meanwhile. */
import { ChangeDetectionStrategy, Component, computed, inject, output } from '@angular/core';
import { MatButton } from '@angular/material/button';
import type { NotificationData } from '../../../../../protocol/session.ts';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { LOCAL_KINDS, type LocalKind, LocalMedia } from '../../media/local-media.ts';
import { Session } from '../../session/session.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';
import { endedText } from './ended-text.ts';

@Component({
  selector: 'ht-waiting-screen',
  imports: [MatButton, Icon, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './waiting-screen.html',
  styleUrl: './waiting-screen.scss',
})
export class WaitingScreen {
  readonly left = output();
  readonly #client = inject(ConferenceClient);
  readonly #local = inject(LocalMedia);
  readonly #session = inject(Session);
  readonly #store = inject(ConferenceStore);
  protected readonly title = this.#store.title;
  /** Who has sent the person back. */
  protected readonly sentBack = computed(() => {
    const how = this.#client.sentBack();
    return how && endedText(how, (server) => this.#store.organisation(server).displayName).text;
  });
  protected readonly kinds = LOCAL_KINDS;
  protected readonly disconnected = computed(() => this.#session.state() !== 'open');
  protected readonly text = computed(() => {
    const phase = this.#client.phase();
    return phase.name === 'waiting' ? waitingText(phase.state) : undefined;
  });

  protected isOn(kind: LocalKind): boolean {
    return this.#local.source(kind)().on;
  }

  protected label(kind: LocalKind): string {
    return kind === 'camera' ? $localize`:@@device.camera:Camera` : $localize`:@@device.microphone:Microphone`;
  }

  protected toggle(kind: LocalKind): void {
    void this.#local.turn(kind, !this.isOn(kind));
  }
}

interface WaitingText {
  readonly head: string;
  readonly text: string;
}

function waitingText({ reason, told }: NotificationData<'waiting.changed'>): WaitingText {
  const knows = told
    ? $localize`:@@waiting.told:Those who lead the meeting were told that you are waiting.`
    : $localize`:@@waiting.notTold:Nobody is in the meeting yet who can let you in. They are told as soon as they come.`;
  switch (reason) {
    case 'full':
      return {
        head: $localize`:@@waiting.fullHead:All places are taken`,
        text: $localize`:@@waiting.full:You enter by yourself as soon as a place is free. You need not do anything.`,
      };
    case 'locked':
      return {
        head: $localize`:@@waiting.lockedHead:The meeting is locked at the moment`,
        text: `${knows} ${$localize`:@@waiting.locked:You enter by yourself as soon as it is unlocked or somebody lets you in.`}`,
      };
    case 'waiting-room':
      return {
        head: $localize`:@@waiting.head:You will be let in`,
        text: `${knows} ${$localize`:@@waiting.byItself:You enter by yourself as soon as somebody lets you in.`}`,
      };
  }
}

/** What somebody should know about the own media: it does not get through, it goes out, or it was stopped by sleep. */
import { ChangeDetectionStrategy, Component, computed, inject, input } from '@angular/core';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { blockedText } from '../../media/media-line.ts';
import { ScreenShare } from '../../media/screen-share.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';

@Component({
  selector: 'ht-media-notices',
  imports: [Icon, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './media-notices.html',
  styleUrl: './media-notices.scss',
})
export class MediaNotices {
  readonly #client = inject(ConferenceClient);
  readonly #screen = inject(ScreenShare);
  /** A cause that lies further down is being told: the own line says nothing then. */
  readonly quiet = input(false);
  protected readonly blocked = computed(() => {
    const line = this.#client.line();
    return line.kind === 'blocked' && !this.quiet() ? { cause: line.cause, text: blockedText(line.cause) } : undefined;
  });
  protected readonly slept = this.#client.slept;
  protected readonly share = computed(() => {
    const share = this.#client.share();
    return share.kind === 'sharing' ? { sound: share.sound !== undefined } : undefined;
  });
  protected readonly soundSupported = this.#screen.soundSupported;

  protected stopSharing(): void {
    this.#client.stopScreen();
  }

  protected answer(turnOn: boolean): void {
    this.#client.answerSlept(turnOn);
  }
}

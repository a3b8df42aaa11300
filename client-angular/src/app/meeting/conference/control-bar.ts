/** The one control bar: fixed order, fixed places, leaving apart at the end. */
import { ChangeDetectionStrategy, Component, computed, inject, input, output } from '@angular/core';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { Keys } from '../../core/keys.ts';
import { type LocalKind, LocalMedia } from '../../media/local-media.ts';
import { Icon } from '../../shared/icon.ts';

export type PanelName = 'chat' | 'people' | 'connections';

@Component({
  selector: 'ht-control-bar',
  imports: [Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './control-bar.html',
  styleUrl: './control-bar.scss',
})
export class ControlBar {
  readonly #client = inject(ConferenceClient);
  readonly #local = inject(LocalMedia);
  protected readonly keys = inject(Keys);
  readonly panel = input<PanelName>();
  /** Messages that came while the chat was closed. */
  readonly unread = input(0);
  readonly people = input(0);
  readonly panelToggled = output<PanelName>();
  readonly left = output();
  protected readonly microphone = this.#local.microphone;
  protected readonly camera = this.#local.camera;
  protected readonly sharing = computed(() => this.#client.share().kind === 'sharing');
  protected readonly canShare = this.#client.canShare;

  protected toggle(kind: LocalKind): void {
    void this.#local.turn(kind, !this.#local.source(kind)().on);
  }

  protected share(): void {
    this.#client.toggleScreen();
  }
}

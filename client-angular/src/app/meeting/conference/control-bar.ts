/** The one control bar: fixed order, fixed places, leaving apart at the end. */
import type { ConnectedPosition } from '@angular/cdk/overlay';
import { CdkMenuTrigger } from '@angular/cdk/menu';
import { ChangeDetectionStrategy, Component, computed, inject, input, output } from '@angular/core';
import { ConferenceClient } from '../../conference/conference-client.ts';
import type { Panel, ToggleButton } from '../../conference/meeting-module.ts';
import { Modules } from '../../conference/modules.ts';
import { Restrictions } from '../../conference/restrictions.ts';
import { Keys } from '../../core/keys.ts';
import { type LocalKind, LocalMedia } from '../../media/local-media.ts';
import { ActionMenu } from '../../shared/action-menu.ts';
import { Icon } from '../../shared/icon.ts';

@Component({
  selector: 'ht-control-bar',
  imports: [ActionMenu, CdkMenuTrigger, Icon],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './control-bar.html',
  styleUrl: './control-bar.scss',
})
export class ControlBar {
  readonly #client = inject(ConferenceClient);
  readonly #local = inject(LocalMedia);
  protected readonly keys = inject(Keys);
  protected readonly restrictions = inject(Restrictions);
  protected readonly modules = inject(Modules);
  readonly panels = input<readonly Panel[]>([]);
  /** Name of the panel that is open. */
  readonly open = input<string>();
  readonly panelToggled = output<string>();
  readonly left = output();
  protected readonly microphone = this.#local.microphone;
  protected readonly camera = this.#local.camera;
  protected readonly sharing = computed(() => this.#client.share().kind === 'sharing');
  protected readonly canShare = this.#client.canShare;
  /** Menus open upwards: the bar stands at the lower edge. */
  protected readonly above: ConnectedPosition[] = [
    { originX: 'center', originY: 'top', overlayX: 'center', overlayY: 'bottom', offsetY: -8 },
  ];

  protected toggle(kind: LocalKind): void {
    const on = !this.#local.source(kind)().on;
    if (on && this.restrictions.refuses(kind)) return;
    void this.#local.turn(kind, on);
  }

  protected press(button: ToggleButton): void {
    if (!button.off()) void button.press();
  }

  protected share(): void {
    if (!this.sharing() && this.restrictions.refuses('screen')) return;
    this.#client.toggleScreen();
  }
}

/** A bar that moves with the microphone: the answer to "does it hear me?". */
import { ChangeDetectionStrategy, Component, effect, input, signal } from '@angular/core';
import { watchLevel } from '../../media/level.ts';

@Component({
  selector: 'ht-level-meter',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<div
    class="bar"
    role="meter"
    aria-valuemin="0"
    aria-valuemax="100"
    [attr.aria-valuenow]="percent()"
    i18n-aria-label="@@lobby.level"
    aria-label="Microphone level"
  >
    <div class="fill" [style.transform]="'scaleX(' + level() + ')'"></div>
  </div>`,
  styles: `
    .bar {
      height: 8px;
      border-radius: 4px;
      background: var(--mat-sys-surface-container-highest);
      overflow: hidden;
    }
    .fill {
      height: 100%;
      background: var(--ht-good);
      transform-origin: left;
      transition: transform 80ms linear;
    }
    @media (forced-colors: active) {
      .bar {
        border: 1px solid CanvasText;
      }
      .fill {
        background: Highlight;
        forced-color-adjust: none;
      }
    }
  `,
})
export class LevelMeter {
  readonly track = input<MediaStreamTrack>();
  protected readonly level = signal(0);
  protected readonly percent = signal(0);

  constructor() {
    effect((onCleanup) => {
      const track = this.track();
      this.level.set(0);
      if (!track) return;
      const stop = watchLevel(track, (level) => {
        this.level.set(Math.round(level * 50) / 50);
        // Coarse for screen readers, which would otherwise never rest.
        this.percent.set(Math.round(level * 5) * 20);
      });
      onCleanup(stop);
    });
  }
}

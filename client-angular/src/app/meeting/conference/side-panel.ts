/** The panel beside the stage: its head, and the component that it loads on demand. */
import {
  ChangeDetectionStrategy,
  Component,
  effect,
  ElementRef,
  inject,
  input,
  output,
  viewChild,
} from '@angular/core';
import { MatIconButton } from '@angular/material/button';
import type { Panel } from '../../conference/meeting-module.ts';
import { Icon } from '../../shared/icon.ts';
import { Loaded } from '../../shared/loaded.ts';

@Component({
  selector: 'ht-side-panel',
  imports: [MatIconButton, Icon, Loaded],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<aside aria-labelledby="panel-title" [attr.data-panel]="panel().name">
    <div class="panel-head">
      <h2 #head id="panel-title" tabindex="-1">{{ panel().title }}</h2>
      <button
        matIconButton
        type="button"
        (click)="closed.emit()"
        i18n-aria-label="@@panel.close"
        aria-label="Close panel"
      >
        <ht-icon name="close" />
      </button>
    </div>
    <ht-loaded [load]="panel().load" (shown)="intoField()" />
  </aside>`,
  styleUrl: './side-panel.scss',
})
export class SidePanel {
  readonly panel = input.required<Panel>();
  /** What gets the focus when the panel opens. */
  readonly focus = input<'head' | 'field'>('head');
  readonly closed = output();
  readonly #host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  protected readonly head = viewChild.required<ElementRef<HTMLElement>>('head');

  constructor() {
    effect(() => {
      this.panel();
      setTimeout(() => this.head().nativeElement.focus());
    });
  }

  /** The field is there when the component is. */
  protected intoField(): void {
    if (this.focus() === 'head') return;
    setTimeout(() => this.#host.querySelector<HTMLElement>('textarea')?.focus());
  }
}

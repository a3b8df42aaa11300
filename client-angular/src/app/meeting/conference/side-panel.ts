/** The panel beside the stage: its head, and the component that it loads on demand. */
import { NgComponentOutlet } from '@angular/common';
import {
  ChangeDetectionStrategy,
  Component,
  effect,
  ElementRef,
  inject,
  input,
  output,
  resource,
  untracked,
  viewChild,
} from '@angular/core';
import { MatIconButton } from '@angular/material/button';
import type { Panel } from '../../conference/meeting-module.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';

@Component({
  selector: 'ht-side-panel',
  imports: [MatIconButton, Icon, NgComponentOutlet, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './side-panel.html',
  styleUrl: './side-panel.scss',
})
export class SidePanel {
  readonly panel = input.required<Panel>();
  /** What gets the focus when the panel opens. */
  readonly focus = input<'head' | 'field'>('head');
  readonly closed = output();
  readonly #host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  protected readonly head = viewChild.required<ElementRef<HTMLElement>>('head');
  protected readonly content = resource({
    params: () => this.panel(),
    loader: ({ params }) => params.load(),
  });

  constructor() {
    effect(() => {
      this.panel();
      setTimeout(() => this.head().nativeElement.focus());
    });
    // The field is there when the component is.
    effect(() => {
      if (!this.content.hasValue() || untracked(this.focus) === 'head') return;
      setTimeout(() => this.#host.querySelector<HTMLElement>('textarea, input')?.focus());
    });
  }
}

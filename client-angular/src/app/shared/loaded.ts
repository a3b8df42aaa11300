/** A component that is loaded on demand, in its place. What could not be loaded says so, and can be tried again. */
import { NgComponentOutlet } from '@angular/common';
import { ChangeDetectionStrategy, Component, effect, input, output, resource } from '@angular/core';
import type { LoadComponent } from '../conference/meeting-module.ts';
import { Notice } from './notice.ts';

@Component({
  selector: 'ht-loaded',
  imports: [NgComponentOutlet, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (content.hasValue()) {
      <ng-container *ngComponentOutlet="content.value()" />
    } @else if (content.error()) {
      <ht-notice>
        <ng-container i18n="@@panel.failed">This could not be loaded from your organisation’s server.</ng-container>
        <button type="button" (click)="content.reload()" i18n="@@home.again">Try again</button>
      </ht-notice>
    }`,
  styles: `
    :host {
      display: contents;
    }
    ht-notice {
      margin: 8px 16px;
      pointer-events: auto;
    }
    button {
      min-height: 44px;
      padding: 0 4px;
      border: 0;
      background: none;
      color: inherit;
      font: inherit;
      font-weight: 650;
      text-decoration: underline;
      cursor: pointer;
    }
  `,
})
export class Loaded {
  readonly load = input.required<LoadComponent>();
  /** The component stands there. */
  readonly shown = output();
  protected readonly content = resource({ params: () => this.load(), loader: ({ params: load }) => load() });

  constructor() {
    effect(() => {
      if (this.content.hasValue()) this.shown.emit();
    });
  }
}

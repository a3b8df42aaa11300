/** The mark of an organisation: its colour and name, as it stands on tiles, in lists and in the chat. */
import { ChangeDetectionStrategy, Component, input } from '@angular/core';
import type { Organisation } from '../../../../protocol/session.ts';

@Component({
  selector: 'ht-organisation-mark',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<span class="dot" [style.background]="organisation().colour" aria-hidden="true"></span
    ><bdi class="name" [title]="organisation().serverName">{{ organisation().displayName }}</bdi>`,
  styles: `
    :host {
      display: inline-flex;
      align-items: center;
      gap: 6px;
      min-width: 0;
    }
    .dot {
      flex: none;
      width: 12px;
      height: 12px;
      border-radius: 4px;
      box-shadow: 0 0 0 1px rgb(255 255 255 / 0.5);
      forced-color-adjust: none;
    }
    /* On a small tile the colour stands for the name, which stays in the tile's label and in the people list. */
    @container tile (max-width: 280px) {
      .name {
        position: absolute;
        width: 1px;
        height: 1px;
        overflow: hidden;
        clip-path: inset(50%);
      }
    }
  `,
})
export class OrganisationMark {
  readonly organisation = input.required<Organisation>();
}

/**
 * The mark of an organisation: its colour and name, as it stands on tiles, in lists and in the chat. With a guest it says
 * "Guest" in place of the colour: the organisation let the person in and does not vouch for the name.
 */
import { ChangeDetectionStrategy, Component, computed, input } from '@angular/core';
import type { Organisation } from '../../../../protocol/session.ts';
import { isolate } from './person-text.ts';

@Component({
  selector: 'ht-organisation-mark',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (guest()) {
      <span class="guest" data-testid="guest-mark" [title]="guestHint()" i18n="@@mark.guest">Guest</span>
    } @else {
      <span class="dot" [style.background]="organisation().colour" aria-hidden="true"></span>
    }
    <bdi class="name" [title]="organisation().serverName">{{ organisation().displayName }}</bdi>`,
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
    .guest {
      flex: none;
      padding: 0 7px;
      border: 1px solid currentcolor;
      border-radius: 8px;
      font-weight: 600;
      line-height: 1.35;
    }
    /* On a small tile the colour stands for the name, which stays in the tile's label and in the people list. */
    @container tile (max-width: 280px) {
      .guest {
        padding: 0 4px;
        font-size: 0.6875rem;
      }
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
  /** The mark is of a guest of this organisation. */
  readonly guest = input(false);
  protected readonly guestHint = computed(() => {
    const organisation = isolate(this.organisation().displayName);
    return $localize`:@@mark.guestHint:Entered by a link of ${organisation}:ORGANISATION:, which does not know who it is.`;
  });
}

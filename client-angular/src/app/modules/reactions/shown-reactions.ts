/** Reactions over the lower edge of the stage: one line for each organisation, and nothing that moves. */
import { ChangeDetectionStrategy, Component, inject, LOCALE_ID } from '@angular/core';
import type { Reaction } from '../../../../../protocol/modules/reactions.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { GLYPHS, reactionText } from './reaction-texts.ts';
import { Reactions } from './reactions.ts';

@Component({
  selector: 'ht-shown-reactions',
  imports: [OrganisationMark],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@for (shown of reactions.shown(); track shown.organisation) {
    <div class="line" data-testid="shown-reactions" [attr.data-organisation]="shown.organisation">
      <ht-organisation-mark [organisation]="store.organisation(shown.organisation)" />
      @for (one of shown.counts; track one.reaction) {
        <span class="one" [attr.data-reaction]="one.reaction" [title]="text(one.reaction)">
          <span class="glyph" aria-hidden="true">{{ glyphs[one.reaction] }}</span>
          <span class="text">{{ text(one.reaction) }}</span>
          <span class="count">{{ number(one.count) }}</span>
        </span>
      }
    </div>
  }`,
  styleUrl: './shown-reactions.scss',
})
export class ShownReactionsList {
  protected readonly reactions = inject(Reactions);
  protected readonly store = inject(ConferenceStore);
  protected readonly glyphs = GLYPHS;
  protected readonly text = (reaction: Reaction): string => reactionText(reaction);
  readonly #number = new Intl.NumberFormat(inject(LOCALE_ID));

  protected number(count: number): string {
    return this.#number.format(count);
  }
}

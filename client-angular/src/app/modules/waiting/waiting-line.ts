/** One line over the stage while somebody waits whom the own person has not seen in the list. */
import { ChangeDetectionStrategy, Component, computed, effect, inject } from '@angular/core';
import { OpenPanel } from '../../shared/open-panel.ts';
import { Waiting } from './waiting.ts';

@Component({
  selector: 'ht-waiting-line',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (text(); as text) {
    <div class="line" data-testid="waiting-line">
      <span class="text">{{ text }}</span>
      @if (only(); as person) {
        <button type="button" data-testid="line-admit" (click)="waiting.admit([person])" i18n="@@waiting.admit">
          Admit
        </button>
      }
      <button type="button" data-testid="line-show" (click)="panels.wanted.set('people')" i18n="@@waiting.show">
        Show
      </button>
      <button type="button" (click)="waiting.see()" i18n="@@waiting.later">Later</button>
    </div>
  }`,
  styleUrl: './waiting-line.scss',
})
export class WaitingLine {
  protected readonly waiting = inject(Waiting);
  protected readonly panels = inject(OpenPanel);
  protected readonly only = computed(() => {
    const [person] = this.waiting.news();
    const isAlone = this.waiting.count() === 1 && person && !this.waiting.isAsked(person.userId);
    return isAlone ? person : undefined;
  });
  protected readonly text = computed(() => {
    const news = this.waiting.news().filter(({ userId }) => !this.waiting.isAsked(userId));
    if (news.length === 0 || this.panels.name() === 'people') return undefined;
    const count = this.waiting.count();
    const [person] = news;
    return count === 1 && person
      ? $localize`:@@waiting.waits:${this.waiting.label(person)}:NAME: is waiting to be let in.`
      : $localize`:@@waiting.wait:${count}:COUNT: people are waiting to be let in.`;
  });

  constructor() {
    // The panel shows them.
    effect(() => {
      if (this.panels.name() === 'people' && this.waiting.news().length > 0) this.waiting.see();
    });
  }
}

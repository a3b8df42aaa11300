/** The links that let guests into a meeting, and their ends. */
import { LiveAnnouncer } from '@angular/cdk/a11y';
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  DestroyRef,
  ElementRef,
  inject,
  Injector,
  input,
  LOCALE_ID,
  type OnInit,
  signal,
} from '@angular/core';
import { MatButton } from '@angular/material/button';
import type { Link } from '../../../../protocol/guest-links.ts';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { WallClock } from '../core/wall-clock.ts';
import { Notice } from './notice.ts';
import { formatWhen } from './when.ts';

@Component({
  selector: 'ht-guest-links',
  imports: [MatButton, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './guest-links.html',
  styleUrl: './guest-links.scss',
})
export class GuestLinks implements OnInit {
  readonly #api = inject(Api);
  readonly #announcer = inject(LiveAnnouncer);
  readonly #names = inject(OrganisationNames);
  readonly #locale = inject(LOCALE_ID);
  readonly #clock = inject(WallClock);
  readonly #destroyed = inject(DestroyRef);
  readonly #injector = inject(Injector);
  readonly #element = inject<ElementRef<HTMLElement>>(ElementRef);
  readonly roomId = input.required<string>();
  protected readonly links = signal<readonly Link[]>([]);
  /** The link that is about to be ended, until that is confirmed. */
  protected readonly asked = signal<string | undefined>(undefined);
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);

  ngOnInit(): void {
    void this.load();
  }

  /** Looks anew, as after a link was made. */
  async load(): Promise<void> {
    try {
      const { links } = await this.#api.links(this.roomId());
      if (!this.#destroyed.destroyed) this.links.set(links);
    } catch (error) {
      this.failure.set(errorText(error, this.#names.of));
    }
  }

  protected made({ createdAt }: Link): string {
    return formatWhen(createdAt, undefined, this.#locale, this.#clock.now());
  }

  protected guests({ guests }: Link): string {
    if (guests === 0) return $localize`:@@links.guestsNone:not used yet`;
    if (guests === 1) return $localize`:@@links.guestsOne:1 guest came by it`;
    return $localize`:@@links.guests:${guests}:COUNT: guests came by it`;
  }

  /** Several buttons say the same: each is told apart by its link. */
  protected endLabel(link: Link): string {
    return $localize`:@@links.endLabel:End link, made: ${this.made(link)}:WHEN:`;
  }

  protected ask({ linkId }: Link): void {
    this.asked.set(linkId);
    this.#focus(`[data-link="${linkId}"] button`);
  }

  protected keep({ linkId }: Link): void {
    this.asked.set(undefined);
    this.#focus(`[data-link="${linkId}"] button`);
  }

  /** The button that was pressed is gone: the focus goes to what took its place. */
  #focus(selector: string): void {
    afterNextRender(
      { read: () => this.#element.nativeElement.querySelector<HTMLElement>(selector)?.focus() },
      { injector: this.#injector },
    );
  }

  protected async end({ linkId }: Link): Promise<void> {
    if (this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      await this.#api.endLink(this.roomId(), linkId, 'remove');
      this.asked.set(undefined);
      this.links.update((links) => links.filter((link) => link.linkId !== linkId));
      this.#focus('h4');
      void this.#announcer.announce($localize`:@@links.ended:The link has been ended.`);
    } catch (error) {
      this.failure.set(errorText(error, this.#names.of));
      await this.load();
    } finally {
      this.busy.set(false);
    }
  }
}

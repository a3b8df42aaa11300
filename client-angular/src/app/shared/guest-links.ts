/** The links that let guests into a meeting: to be copied, made, replaced and ended. */
import { LiveAnnouncer } from '@angular/cdk/a11y';
import { Clipboard } from '@angular/cdk/clipboard';
import {
  afterNextRender,
  ChangeDetectionStrategy,
  Component,
  computed,
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
import type { GuestRule, Link } from '../../../../protocol/guest-links.ts';
import { Api } from '../core/api.ts';
import { errorText } from '../core/error-text.ts';
import { OrganisationNames } from '../core/organisation-names.ts';
import { WallClock } from '../core/wall-clock.ts';
import { Icon } from './icon.ts';
import { factsOf, isUsual, nameOfLink, untilWhen, whoMayEnter } from './link-text.ts';
import { NewLink } from './new-link.ts';
import { Notice } from './notice.ts';

@Component({
  selector: 'ht-guest-links',
  imports: [MatButton, Icon, NewLink, Notice],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './guest-links.html',
  styleUrl: './guest-links.scss',
})
export class GuestLinks implements OnInit {
  readonly #api = inject(Api);
  readonly #announcer = inject(LiveAnnouncer);
  readonly #clipboard = inject(Clipboard);
  readonly #names = inject(OrganisationNames);
  readonly #locale = inject(LOCALE_ID);
  readonly #now = inject(WallClock).now;
  readonly #destroyed = inject(DestroyRef);
  readonly #injector = inject(Injector);
  readonly #element = inject<ElementRef<HTMLElement>>(ElementRef);
  readonly roomId = input.required<string>();
  /** Shows the usual link at once, and makes it where there is none. */
  readonly makeLink = input(false);
  protected readonly links = signal<readonly Link[]>([]);
  protected readonly loaded = signal(false);
  /** What the meeting makes of guests. */
  protected readonly rule = signal<GuestRule>('enter');
  protected readonly usual = computed(() => this.links().find(isUsual));
  protected readonly words = computed(() => {
    const link = this.usual();
    const who = whoMayEnter(link ?? { mode: 'direct' }, this.rule());
    return link === undefined ? who : `${who} ${untilWhen(link, this.#locale, this.#now())}`;
  });
  /** What is about to be done to a link, until that is confirmed. */
  protected readonly asked = signal<{ linkId: string; about: 'end' | 'replace' } | undefined>(undefined);
  /** The link that was copied last. */
  protected readonly copied = signal<string | undefined>(undefined);
  /** The settings of a new link are open. */
  protected readonly making = signal(false);
  protected readonly busy = signal(false);
  protected readonly failure = signal<string | undefined>(undefined);

  async ngOnInit(): Promise<void> {
    await this.#load();
    if (!this.makeLink() || !this.loaded() || this.#destroyed.destroyed) return;
    await this.#work(async () => {
      await this.#usualLink();
      this.focus('[data-testid=link-url]');
    });
  }

  async #load(): Promise<void> {
    try {
      const { links, guests } = await this.#api.links(this.roomId());
      this.links.set(links);
      this.rule.set(guests);
      this.loaded.set(true);
    } catch (error) {
      this.failure.set(errorText(error, this.#names.of));
    }
  }

  protected name(link: Link): string {
    return nameOfLink(link);
  }

  protected facts(link: Link): string[] {
    return factsOf(link, this.#locale, this.#now());
  }

  /** Several buttons say the same: each is told apart by its link. */
  protected endLabel(link: Link): string {
    return $localize`:@@links.endLabel:End link: ${nameOfLink(link)}:LINK:`;
  }

  protected replaceLabel(link: Link): string {
    return $localize`:@@links.replaceLabel:Replace link: ${nameOfLink(link)}:LINK:`;
  }

  protected copyLabel(link: Link): string {
    if (this.copied() === link.linkId) return $localize`:@@links.copiedLabel:Copied: ${nameOfLink(link)}:LINK:`;
    return $localize`:@@links.copyLabel:Copy link: ${nameOfLink(link)}:LINK:`;
  }

  protected question({ guests }: Link): string {
    if (this.asked()?.about === 'replace') {
      return $localize`:@@links.askReplace:Give this link a new address? The old one opens nothing any more. Guests who are in stay.`;
    }
    if (guests === 0) return $localize`:@@links.ask:End this link? It opens nothing any more then.`;
    if (guests === 1) return $localize`:@@links.askGuest:End this link? 1 guest came by it: may that guest stay?`;
    return $localize`:@@links.askGuests:End this link? ${guests}:COUNT: guests came by it: may they stay?`;
  }

  /** Marks the whole link and shows its beginning: whose server it leads to is worth knowing. */
  protected select(field: HTMLInputElement): void {
    field.setSelectionRange(0, field.value.length, 'backward');
    field.scrollLeft = 0;
  }

  protected copyUsual(): Promise<void> {
    return this.#work(async () => {
      this.copy(await this.#usualLink());
    });
  }

  /** Where the browser does not let us copy, the field is marked, to be copied by hand. */
  protected copy({ linkId, url }: Link): void {
    const done = url !== undefined && this.#clipboard.copy(url);
    this.copied.set(done ? linkId : undefined);
    if (done) void this.#announcer.announce($localize`:@@invite.copied:Copied`);
    else this.focus('[data-testid=link-url]');
  }

  async #usualLink(): Promise<Link> {
    const usual = this.usual();
    if (usual) return usual;
    const made = await this.#api.createLink(this.roomId());
    this.links.update((links) => [made, ...links]);
    return made;
  }

  protected begin(): void {
    this.making.set(true);
    this.focus('[data-testid=link-purpose]');
  }

  protected added(link: Link): void {
    this.making.set(false);
    this.links.update((links) => [link, ...links]);
    this.copy(link);
    this.focus(`[data-link="${link.linkId}"] button`);
  }

  protected ask({ linkId }: Link, about: 'end' | 'replace'): void {
    this.asked.set({ linkId, about });
    this.focus(`[data-link="${linkId}"] button`);
  }

  protected keep({ linkId }: Link): void {
    this.asked.set(undefined);
    this.focus(`[data-link="${linkId}"] button`);
  }

  protected replace({ linkId }: Link): Promise<void> {
    return this.#work(async () => {
      const link = await this.#api.replaceLink(this.roomId(), linkId);
      this.asked.set(undefined);
      this.links.update((links) => links.map((one) => (one.linkId === linkId ? link : one)));
      this.copy(link);
      this.focus(`[data-link="${linkId}"] button`);
      void this.#announcer.announce($localize`:@@links.replaced:The link has a new address. It is copied.`);
    });
  }

  protected end({ linkId }: Link, guests: 'keep' | 'remove'): Promise<void> {
    return this.#work(async () => {
      await this.#api.endLink(this.roomId(), linkId, guests);
      this.asked.set(undefined);
      this.links.update((links) => links.filter((link) => link.linkId !== linkId));
      this.focus(this.links().length > 0 ? 'h4' : '[data-testid=copy-link]');
      void this.#announcer.announce($localize`:@@links.ended:The link has been ended.`);
    });
  }

  /** What was pressed may be gone: the focus goes to what took its place. */
  protected focus(selector: string): void {
    if (this.#destroyed.destroyed) return;
    afterNextRender(
      { read: () => this.#element.nativeElement.querySelector<HTMLElement>(selector)?.focus() },
      { injector: this.#injector },
    );
  }

  /** One thing at a time. What failed is said, and what holds now is looked up. */
  async #work(task: () => Promise<void>): Promise<void> {
    if (this.busy()) return;
    this.busy.set(true);
    this.failure.set(undefined);
    try {
      await task();
    } catch (error) {
      await this.#load();
      this.failure.set(errorText(error, this.#names.of));
    } finally {
      this.busy.set(false);
    }
  }
}

/** One source of one person on the stage: the picture, or an honest sentence in its place; name and organisation. */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  effect,
  ElementRef,
  inject,
  input,
  signal,
  untracked,
  viewChild,
} from '@angular/core';
import type { Participant } from '../../../../../protocol/session.ts';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { Modules } from '../../conference/modules.ts';
import { markFirst } from '../../core/marks.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { mediaKey } from '../../media/received-media.ts';
import { Icon } from '../../shared/icon.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { personLabel } from '../../shared/person-text.ts';
import { VideoTrack } from '../../shared/video-track.ts';
import { Clock } from './clock.ts';
import { PersonMenu } from './person-menu.ts';
import { PersonMarks } from './person-marks.ts';
import { type TileState, tileState, tileText } from './tile-state.ts';
import { VisibleTiles } from './visible-tiles.ts';
import { initials } from './initials.ts';

@Component({
  selector: 'ht-tile',
  imports: [Icon, OrganisationMark, PersonMarks, PersonMenu, VideoTrack],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './tile.html',
  styleUrl: './tile.scss',
  host: {
    role: 'group',
    'data-testid': 'tile',
    '[attr.data-participant-id]': 'participant().participantId',
    '[attr.data-source]': 'source()',
    '[attr.data-state]': 'state().kind',
    '[attr.data-speaking]': 'speaking()',
    '[attr.aria-label]': 'label()',
    '[class.speaking]': 'speaking()',
    '[class.screen]': "source() === 'screen'",
  },
})
export class Tile {
  readonly participant = input.required<Participant>();
  readonly source = input<'camera' | 'screen'>('camera');
  readonly #store = inject(ConferenceStore);
  readonly #local = inject(LocalMedia);
  readonly #clock = inject(Clock);
  readonly #line = inject(ConferenceClient).line;
  readonly #modules = inject(Modules);
  protected readonly picture = viewChild(VideoTrack);
  readonly #lastFrameAt = signal<number | undefined>(undefined);
  /** Since when a first picture could be there, Unix ms. */
  readonly #awaitedSince = signal<number | undefined>(undefined);

  protected readonly self = computed(() => this.participant().participantId === this.#store.me());
  protected readonly organisation = computed(() => this.#store.organisation(this.participant().organisation));
  readonly #participantId = computed(() => this.participant().participantId);
  readonly #sent = computed(() =>
    this.participant().sources.some(({ source, paused }) => source === this.source() && !paused),
  );
  readonly #media = computed(() =>
    this.#store.remoteMedia().get(mediaKey(this.participant().participantId, this.source())),
  );
  readonly #received = computed(() => this.#media() !== undefined);
  protected readonly track = computed(() => (this.self() ? this.#local.camera().track : this.#media()?.track));
  protected readonly speaking = computed(() => this.#store.speaking().has(this.participant().participantId));
  protected readonly muted = computed(() => {
    if (this.self()) return !this.#local.microphone().track;
    if (this.participant().sourcesKnown === false) return false;
    const microphone = this.participant().sources.find(({ source }) => source === 'microphone');
    return !microphone || microphone.paused;
  });
  protected readonly initials = computed(() => initials(this.participant().displayName));
  protected readonly state = computed(
    (): TileState => {
      if (this.self()) return { kind: this.#local.camera().track ? 'picture' : 'camera-off' };
      return tileState({
        participant: this.participant(),
        source: this.source(),
        link: this.#store.link(this.participant().organisation),
        line: this.#line(),
        media: this.#media(),
        awaitedSince: this.#awaitedSince(),
        lastFrameAt: this.#lastFrameAt(),
        now: this.#clock.now(),
      });
    },
    { equal: sameState },
  );
  protected readonly text = computed(() => tileText(this.state(), this.organisation().displayName, this.#clock.now()));
  /** A shared screen is the same person once more. */
  protected readonly marks = computed(() =>
    this.source() === 'screen' ? [] : this.#modules.marks(this.participant()),
  );
  protected readonly label = computed(() => {
    const name = personLabel(this.participant(), this.organisation().displayName);
    return this.source() === 'screen' ? $localize`:@@tile.screen:Screen of ${name}:NAME:` : name;
  });

  constructor() {
    const element = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
    const visible = inject(VisibleTiles);
    effect((onCleanup) => {
      if (this.self()) return;
      const participantId = this.#participantId();
      const source = this.source();
      onCleanup(untracked(() => visible.observe(element, participantId, source)));
    });
    // What is not sent or not received has no last picture: the next one is a first one.
    effect(() => {
      if (!this.#sent() || !this.#received()) this.#lastFrameAt.set(undefined);
      this.#awaitedSince.set(this.#sent() && this.#received() ? Date.now() : undefined);
    });
    effect(() => {
      const now = this.#clock.now();
      this.#sample(now);
    });
  }

  protected onFirstFrame(): void {
    if (this.self()) return;
    markFirst('firstRemoteFrame');
    this.#lastFrameAt.set(Date.now());
  }

  /** Has a new picture come since the last look? A tab in the background shows none, which means nothing. */
  #sample(now: number): void {
    if (document.hidden && untracked(this.#awaitedSince) !== undefined) this.#awaitedSince.set(now);
    const picture = untracked(this.picture);
    if (!picture || !untracked(this.#sent)) return;
    const moved = untracked(() => picture.moved());
    if (moved || (document.hidden && untracked(this.#lastFrameAt) !== undefined)) this.#lastFrameAt.set(now);
  }
}

function sameState(a: TileState, b: TileState): boolean {
  return a.kind === b.kind && ('since' in a ? a.since : 0) === ('since' in b ? b.since : 0);
}

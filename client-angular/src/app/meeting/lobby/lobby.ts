/** The lobby: am I ready? Own picture, level, devices. Nothing leaves this computer before "Join". */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  DestroyRef,
  inject,
  input,
  type OnInit,
  signal,
} from '@angular/core';
import { takeUntilDestroyed } from '@angular/core/rxjs-interop';
import { MatButton } from '@angular/material/button';
import { MatFormField, MatLabel } from '@angular/material/form-field';
import { MatOption, MatSelect } from '@angular/material/select';
import { Router, RouterLink } from '@angular/router';
import { merge } from 'rxjs';
import type { MeetingDetails } from '../../../../../protocol/client-api.ts';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { markJoinClick } from '../../core/marks.ts';
import { Api } from '../../core/api.ts';
import { ApiError } from '../../core/api-error.ts';
import { Auth } from '../../core/auth.ts';
import { errorText } from '../../core/error-text.ts';
import { OrganisationNames } from '../../core/organisation-names.ts';
import { deviceProblemText } from '../../media/device-problem.ts';
import { type LocalKind, LocalMedia } from '../../media/local-media.ts';
import { MediaEngine } from '../../media/media-engine.ts';
import { Session } from '../../session/session.ts';
import { Header } from '../../shared/header.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { VideoTrack } from '../../shared/video-track.ts';
import { When } from '../../shared/when.ts';
import { LevelMeter } from './level-meter.ts';

/** What is known of the meeting. Who has to wait to be let in learns no more than the invitation says. */
type Announced = Pick<MeetingDetails, 'title' | 'startsAt' | 'endsAt' | 'timeZone' | 'organisations'> &
  Partial<Pick<MeetingDetails, 'liveCount'>>;

const DEVICE_KIND = { camera: 'videoinput', microphone: 'audioinput' } as const;

@Component({
  selector: 'ht-lobby',
  imports: [
    MatButton,
    MatFormField,
    MatLabel,
    MatOption,
    MatSelect,
    RouterLink,
    Header,
    Icon,
    LevelMeter,
    Notice,
    OrganisationMark,
    VideoTrack,
    When,
  ],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './lobby.html',
  styleUrl: './lobby.scss',
})
export class Lobby implements OnInit {
  readonly #api = inject(Api);
  readonly #client = inject(ConferenceClient);
  readonly #router = inject(Router);
  readonly #local = inject(LocalMedia);
  readonly #names = inject(OrganisationNames);
  readonly roomId = input.required<string>();
  protected readonly meeting = signal<Announced | undefined>(undefined);
  /** `again`: trying again makes sense. */
  protected readonly failure = signal<{ text: string; again: boolean } | undefined>(undefined);
  readonly #auth = inject(Auth);
  protected readonly guest = this.#auth.guest;
  protected readonly camera = this.#local.camera;
  protected readonly microphone = this.#local.microphone;
  protected readonly name = computed(() => this.#session.hello()?.displayName);
  protected readonly kinds: readonly LocalKind[] = ['camera', 'microphone'];
  protected readonly cameraLabel = $localize`:@@device.camera:Camera`;
  protected readonly microphoneLabel = $localize`:@@device.microphone:Microphone`;
  protected readonly problemText = deviceProblemText;
  readonly #session = inject(Session);
  readonly #destroyed = inject(DestroyRef);
  #joining = false;

  constructor() {
    // The session says who we are and is ready when "Join" is pressed; so are the screen and the media library.
    this.#session.start();
    void import('../conference/conference.ts');
    void MediaEngine.preload();
    merge(this.#session.newSessions, this.#session.on('meetings.changed'))
      .pipe(takeUntilDestroyed())
      .subscribe(() => void this.#refresh());
    this.#destroyed.onDestroy(() => {
      if (!this.#joining) this.#local.release();
    });
  }

  ngOnInit(): void {
    void this.load();
  }

  protected async load(): Promise<void> {
    this.failure.set(undefined);
    void this.#local.open();
    try {
      this.meeting.set(await this.#announced());
    } catch (error) {
      this.#fail(error, isGone(error));
    }
  }

  /** Who is there, and what the meeting is called, while somebody waits here. */
  async #refresh(): Promise<void> {
    // The first answer is under way, or somebody is to try again.
    if (!this.meeting() || this.failure()) return;
    try {
      this.meeting.set(await this.#announced());
    } catch (error) {
      // What is shown stays, unless the meeting is there no more.
      if (isGone(error)) this.#fail(error, true);
    }
  }

  /** @throws ApiError */
  async #announced(): Promise<Announced> {
    try {
      return await this.#api.meeting(this.roomId());
    } catch (error) {
      // Who has to be let in first is no member of the meeting.
      const before = isGone(error) ? await this.#beforeAdmission() : undefined;
      if (before) return before;
      throw error;
    }
  }

  /** What the link or the invitation says. */
  async #beforeAdmission(): Promise<Announced | undefined> {
    const roomId = this.roomId();
    const link = this.#auth.guestLink();
    if (link?.roomId === roomId) {
      const { title, startsAt, organisation } = await this.#api.linkPreview(link.token);
      return { title, startsAt, organisations: [organisation] };
    }
    if (this.guest()) return undefined;
    const invitation = (await this.#api.meetings()).find((meeting) => meeting.roomId === roomId);
    if (!invitation) return undefined;
    const { liveCount: _unknown, ...announced } = invitation;
    return announced;
  }

  #fail(error: unknown, gone: boolean): void {
    // Who went in meanwhile, or away, is not to lose the devices by this.
    if (this.#destroyed.destroyed || this.#joining) return;
    this.failure.set({ text: errorText(error, this.#names.of), again: !gone });
    // There is nothing to get ready for.
    this.#local.release();
  }

  protected devices(kind: LocalKind): readonly MediaDeviceInfo[] {
    return this.#local.devices().filter((device) => device.kind === DEVICE_KIND[kind] && device.deviceId !== '');
  }

  protected current(kind: LocalKind): string {
    return this.#local.source(kind)().track?.getSettings().deviceId ?? '';
  }

  protected choose(kind: LocalKind, deviceId: string): void {
    void this.#local.choose(kind, deviceId);
  }

  protected toggle(kind: LocalKind): void {
    void this.#local.turn(kind, !this.#local.source(kind)().on);
  }

  protected join(silent: boolean): void {
    markJoinClick();
    this.#joining = true;
    if (silent) for (const kind of this.kinds) void this.#local.turn(kind, false);
    void this.#client.join(this.roomId());
    void this.#router.navigate(['/meeting', this.roomId()]);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 403 || error.status === 404);
}

/** The conference: stage, one bar, one panel beside the stage. Whoever comes here without the lobby goes there first. */
import {
  ChangeDetectionStrategy,
  Component,
  computed,
  DestroyRef,
  effect,
  ElementRef,
  inject,
  input,
  linkedSignal,
  signal,
  untracked,
  viewChild,
} from '@angular/core';
import { MatButton } from '@angular/material/button';
import { Router } from '@angular/router';
import { ConferenceClient } from '../../conference/conference-client.ts';
import type { ToggleButton } from '../../conference/meeting-module.ts';
import { Restrictions } from '../../conference/restrictions.ts';
import { Modules } from '../../conference/modules.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { Rights } from '../../conference/rights.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Told } from '../../conference/told.ts';
import { Announcements } from '../../core/announcements.ts';
import { Auth } from '../../core/auth.ts';
import { Keys } from '../../core/keys.ts';
import { deviceProblemText } from '../../media/device-problem.ts';
import { type LocalKind, LocalMedia } from '../../media/local-media.ts';
import { Session } from '../../session/session.ts';
import { Icon } from '../../shared/icon.ts';
import { Notice } from '../../shared/notice.ts';
import { OrganisationMark } from '../../shared/organisation-mark.ts';
import { OwnDialogs } from '../../shared/own-dialogs.ts';
import { KeysMap } from '../../shared/keys-map.ts';
import { Loaded } from '../../shared/loaded.ts';
import { OpenPanel } from '../../shared/open-panel.ts';
import { Clock } from './clock.ts';
import { ControlBar } from './control-bar.ts';
import { endedText, failedText } from './ended-text.ts';
import { linkText } from './link-text.ts';
import { MediaNotices } from './media-notices.ts';
import { Panels } from './panels.ts';
import { PeopleAnnouncements } from './people-announcements.ts';
import { RemoteSound } from './remote-sound.ts';
import type { LeaveDialogData } from './leave-dialog.ts';
import { SecurityBadge } from './security-badge.ts';
import { SidePanel } from './side-panel.ts';
import { WaitingScreen } from './waiting-screen.ts';
import { Stage } from './stage.ts';

/** Sound and pictures come first: panels are loaded so many ms after the entry. */
const PRELOAD_MS = 3_000;

@Component({
  host: { '(keydown.escape)': 'closePanel()', '(window:beforeunload)': 'beforeUnload($event)' },
  selector: 'ht-conference',
  imports: [
    MatButton,
    ControlBar,
    Icon,
    Loaded,
    MediaNotices,
    Notice,
    OrganisationMark,
    RemoteSound,
    SecurityBadge,
    SidePanel,
    Stage,
    WaitingScreen,
  ],
  providers: [Clock, OwnDialogs, Panels, PeopleAnnouncements, PeopleView],
  changeDetection: ChangeDetectionStrategy.OnPush,
  templateUrl: './conference.html',
  styleUrl: './conference.scss',
})
export class Conference {
  readonly #client = inject(ConferenceClient);
  readonly #router = inject(Router);
  readonly #dialogs = inject(OwnDialogs);
  readonly #local = inject(LocalMedia);
  readonly #restrictions = inject(Restrictions);
  protected readonly modules = inject(Modules);
  readonly #announcements = inject(Announcements);
  readonly #session = inject(Session);
  readonly #host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  protected readonly store = inject(ConferenceStore);
  readonly #auth = inject(Auth);
  protected readonly guest = this.#auth.guest;
  readonly roomId = input.required<string>();
  protected readonly phase = this.#client.phase;
  protected readonly panels = inject(Panels);
  protected readonly panel = this.panels.open;
  protected readonly panelFocus = signal<'head' | 'field'>('head');
  protected readonly told = inject(Told);
  protected readonly rights = inject(Rights);
  protected readonly soundBlocked = signal(false);
  protected readonly leftByOneself = signal(false);
  protected readonly linkText = linkText;
  protected readonly sound = viewChild(RemoteSound);

  protected readonly disconnected = this.#client.disconnected;
  protected readonly mediaAway = computed(
    () => this.phase().name === 'in' && (!this.store.mediaService() || this.#client.reopening()),
  );
  protected readonly deviceProblem = computed(() => {
    const [camera, microphone] = [this.#local.camera().problem, this.#local.microphone().problem];
    if (microphone) return deviceProblemText('microphone', microphone);
    return camera && camera !== 'missing' ? deviceProblemText('camera', camera) : undefined;
  });
  /** A hint that was read is put away; another one is shown again. */
  protected readonly shownProblem = linkedSignal(this.deviceProblem);
  protected readonly ending = computed(() => {
    const phase = this.phase();
    if (phase.name === 'ended') return endedText(phase.how, (server) => this.store.organisation(server).displayName);
    return phase.name === 'failed' ? failedText(phase.error) : undefined;
  });
  readonly #keys = inject(Keys);
  protected readonly keysMap = inject(KeysMap);
  /** In the meeting, and not by one's own wish on the way out. */
  readonly #inside = computed(
    () => (this.phase().name === 'in' || this.phase().name === 'joining') && this.#auth.loggedIn(),
  );

  constructor() {
    const destroyed = inject(DestroyRef);
    effect(() => {
      if (this.phase().name !== 'out' || untracked(this.leftByOneself)) return;
      if (untracked(() => this.#client.waitOn(this.roomId()))) return;
      void this.#router.navigate(['/meeting', this.roomId(), 'lobby'], { replaceUrl: true });
    });
    // What a dialog asks about is over then, and it would stand above the page that says so.
    effect(() => {
      if (this.phase().name !== 'in') this.#dialogs.close();
    });
    inject(PeopleAnnouncements);
    const open = inject(OpenPanel);
    effect(() => open.name.set(this.panel()?.name));
    effect(() => {
      const wanted = open.wanted();
      if (wanted === undefined) return;
      open.wanted.set(undefined);
      untracked(() => {
        this.panelFocus.set('head');
        this.panels.show(wanted);
      });
    });
    effect((onCleanup) => {
      if (this.phase().name === 'in') onCleanup(this.#preload());
    });
    const silence = this.#keys.listen({
      m: () => this.#turn('microphone'),
      v: () => this.#turn('camera'),
      s: () => this.#toggleScreen(),
    });
    effect((onCleanup) => onCleanup(this.#listenForModules()));
    destroyed.onDestroy(() => {
      silence();
      open.name.set(undefined);
      // Going back in the browser is leaving, too.
      if (this.#inside() || this.phase().name === 'waiting') this.#client.leave();
    });
  }

  /** Whether this screen may be left: asks, unless the person has left the meeting already or it is over. */
  async mayLeave(): Promise<boolean> {
    if (!this.#inside()) return true;
    const data: LeaveDialogData = { title: this.store.title() };
    const leave = await this.#dialogs.ask<boolean>(async () => (await import('./leave-dialog.ts')).LeaveDialog, {
      width: '440px',
      maxWidth: '96vw',
      data,
    });
    // The meeting may have ended while the question stood.
    return leave === true || !this.#inside();
  }

  /** Reloading or closing the tab: the browser asks, in its own words. */
  protected beforeUnload(event: BeforeUnloadEvent): void {
    if (this.#inside()) event.preventDefault();
  }

  #toggleScreen(): void {
    if (this.#client.share().kind === 'off' && this.#restrictions.refuses('screen')) return;
    this.#client.toggleScreen();
  }

  /** Says it as well: the focus need not be on the button. */
  #turn(kind: LocalKind): void {
    // The keys are still heard on the page that says that the meeting is over. On the way in they count already.
    if (!this.#inside()) return;
    const on = !this.#local.source(kind)().on;
    if (on && this.#restrictions.refuses(kind)) return;
    void this.#local.turn(kind, on);
    const texts = {
      microphone: on ? $localize`:@@announce.micOn:Microphone on` : $localize`:@@announce.micOff:Microphone off`,
      camera: on ? $localize`:@@announce.cameraOn:Camera on` : $localize`:@@announce.cameraOff:Camera off`,
    };
    this.#announcements.now(texts[kind]);
  }

  /** The keys of panels and buttons, with what they do. */
  #listenForModules(): () => void {
    const panels = this.panels.all();
    const toggles = this.modules.buttons().filter((button) => button.kind === 'toggle');
    return this.#keys.listen(
      Object.fromEntries([
        ...toggles.map((button) => [button.key, () => void this.#press(button)] as const),
        ...panels.map(({ key, name, keyFocus }) => [key, () => this.togglePanel(name, keyFocus)] as const),
      ]),
      [...toggles.map(({ key, text }) => ({ key, text })), ...panels.map(({ key, title }) => ({ key, text: title }))],
    );
  }

  async #press(button: ToggleButton): Promise<void> {
    if (!this.#inside()) return;
    const said = untracked(button.off) ? untracked(button.hint) : await button.press();
    if (said !== undefined) this.#announcements.now(said);
  }

  /** Panels are there at once when they are opened, and also when the server is out of reach by then. */
  #preload(): () => void {
    const timer = setTimeout(() => {
      const parts = [...this.panels.all(), ...this.modules.people()];
      for (const { load } of parts) load().catch(() => undefined);
    }, PRELOAD_MS);
    return () => clearTimeout(timer);
  }

  protected togglePanel(name: string, focus: 'head' | 'field' = 'head'): void {
    if (this.panel()?.name === name) {
      this.closePanel();
      return;
    }
    this.panelFocus.set(focus);
    this.panels.show(name);
  }

  /** The focus goes back to the button that opened the panel. */
  protected closePanel(): void {
    const name = this.panel()?.name;
    this.panels.show(undefined);
    if (name) this.#host.querySelector<HTMLElement>(`[data-testid="${name}-toggle"]`)?.focus();
  }

  protected async invite(): Promise<void> {
    await this.#dialogs.ask(async () => (await import('../../shared/invite-dialog.ts')).InviteDialog, {
      width: '560px',
      maxWidth: '96vw',
      autoFocus: 'first-tabbable',
      data: { roomId: this.roomId(), title: this.store.title(), makeLink: false },
    });
  }

  protected playSound(): void {
    this.sound()?.play();
    this.soundBlocked.set(false);
  }

  protected leave(): void {
    this.leftByOneself.set(true);
    this.#client.leave();
    // A guest has no home here.
    if (!this.guest()) void this.#router.navigateByUrl('/');
  }

  protected enterAgain(): void {
    this.#session.start();
    void this.#router.navigate(['/meeting', this.roomId(), 'lobby'], { replaceUrl: true });
  }
}

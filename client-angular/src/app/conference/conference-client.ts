/**
 * The person's place in a conference: joins and leaves, brings session, media and own devices together, and puts
 * everything back by itself when the homeserver, the SFU or the line was away.
 */
import { computed, effect, inject, Injectable, signal, untracked } from '@angular/core';
import { Subject } from 'rxjs';
import type { Source } from '../../../../protocol/media.ts';
import type {
  MediaOpened,
  Notification,
  NotificationData,
  Params,
  Participant,
  UntrustedOrganisation,
} from '../../../../protocol/session.ts';
import { LOCAL_KINDS, type LocalKind, LocalMedia } from '../media/local-media.ts';
import { MediaEngine } from '../media/media-engine.ts';
import { MediaLine } from '../media/media-line.ts';
import { ScreenShare } from '../media/screen-share.ts';
import { watchSleep } from '../media/sleep.ts';
import { likelyTiles, type VisibleTile, watchPlan } from '../media/watch-plan.ts';
import { Session } from '../session/session.ts';
import { SessionError } from '../session/session-error.ts';
import { Announcements } from '../core/announcements.ts';
import { untrustedNow } from '../core/untrusted-text.ts';
import { diagnostics } from './diagnostics.ts';
import { markFirst } from '../core/marks.ts';
import { Sounds } from '../core/sounds.ts';
import { Modules } from './modules.ts';
import { ConferenceStore } from './store.ts';
import { Told } from './told.ts';

/** Between attempts to open media or to join again, in ms: the first wait and the longest. */
const AGAIN_MS = 500;
const AGAIN_LONGEST_MS = 8_000;
/** The screen has told its tiles by then; where it has not, none is in view. In ms. */
const GUESS_MS = 3_000;
/** A change of tiles is told after this rest, in ms; the first list goes at once. */
const WATCH_REST_MS = 120;

export type Phase =
  | { name: 'out' }
  | { name: 'joining' }
  | { name: 'in' }
  | { name: 'failed'; error: unknown }
  /** Before the conference: somebody has to let the person in, or a place to become free. Nothing is sent. */
  | { name: 'waiting'; state: NotificationData<'waiting.changed'> }
  | { name: 'ended'; how: Ended };

/** `refused`, `over`: while the person waited. */
export type EndReason = NotificationData<'conference.ended'>['reason'] | 'refused' | 'over';

export interface Ended extends Omit<NotificationData<'conference.ended'>, 'reason'> {
  readonly reason: EndReason;
}

/** Where this tab waits: a reload waits on. */
const WAITS_IN = 'hansetag-waits-in';

/** What is worth a sentence to somebody who does not see the screen. */
export interface ConferenceEvent {
  kind: 'joined' | 'left';
  person: Pick<Participant, 'displayName' | 'guest'>;
}

/** What this computer sent before it was asleep, and does not send any more until the person says so. */
export interface Slept {
  readonly devices: readonly LocalKind[];
  readonly screen: boolean;
}

/** Given with the meeting's routes (`meeting/meeting-routes.ts`). */
@Injectable()
export class ConferenceClient {
  readonly #session = inject(Session);
  readonly #store = inject(ConferenceStore);
  readonly #local = inject(LocalMedia);
  readonly #modules = inject(Modules);
  readonly #told = inject(Told);
  readonly #announcements = inject(Announcements);
  readonly #sounds = inject(Sounds);
  readonly #phase = signal<Phase>({ name: 'out' });
  readonly phase = this.#phase.asReadonly();
  readonly #screen = inject(ScreenShare);
  readonly #line = new MediaLine();
  /** Whether sound and pictures get through between this computer and the own organisation. */
  readonly line = this.#line.state;
  /** The transports that are there: another signal each time they are made, so that all is sent again. */
  readonly #opened = signal<AbortSignal | undefined>(undefined);
  /** Media is being opened, but not for the first time. */
  readonly #reopening = signal(false);
  readonly reopening = this.#reopening.asReadonly();
  readonly share = this.#screen.state;
  readonly #slept = signal<Slept | undefined>(undefined);
  /** What the person is asked after this computer was asleep. */
  readonly slept = this.#slept.asReadonly();
  readonly #sentBack = signal<Ended | undefined>(undefined);
  /** By whom somebody was sent back who waits now. */
  readonly sentBack = this.#sentBack.asReadonly();
  readonly #events = new Subject<ConferenceEvent>();
  readonly events = this.#events.asObservable();
  /** The connection to the own homeserver is lost while in the conference. */
  readonly disconnected = computed(() => this.#phase().name === 'in' && this.#session.state() !== 'open');
  readonly #engine = new MediaEngine((method, params) => this.#session.request(method, params));
  #tiles: readonly VisibleTile[] = [];
  #watchTimer: ReturnType<typeof setTimeout> | undefined;
  /** Aborted when the stay in a meeting ends: what was asked in it has no meaning any more. */
  #stay = new AbortController();
  /** Aborted when media is opened anew or given up, as the transports of that time are. */
  #media = new AbortController();

  constructor() {
    this.#session.newSessions.subscribe(() => {
      if (this.#phase().name === 'waiting') void this.#enter(this.#store.roomId());
      else void this.#rejoin();
    });
    this.#session.notifications.subscribe((notification) => this.#onNotification(notification));
    this.#engine.remoteMedia.subscribe((media) => {
      this.#store.remoteMedia.set(media);
      for (const { track } of media.values()) if (track.kind === 'audio') noteFirstSound(track);
    });
    this.#engine.broken.subscribe(() => void this.#openMedia());
    this.#engine.progress.subscribe((transports) => this.#line.report(transports));
    effect(() => {
      const { name } = untracked(this.#phase);
      if (this.#session.state() === 'refused' && (name === 'in' || name === 'waiting'))
        this.#end({ reason: 'signed-out' });
    });
    // A closed tab leaves at once; the others need not wait until its session runs out. Who waits keeps the place for
    // so long, because the page may only be loaded again.
    addEventListener('pagehide', () => {
      if (this.#phase().name !== 'waiting') this.leave();
    });
    effect(() => {
      if (this.#phase().name === 'waiting') sessionStorage.setItem(WAITS_IN, untracked(this.#store.roomId));
      else if (this.#phase().name !== 'out' && this.#phase().name !== 'joining') sessionStorage.removeItem(WAITS_IN);
    });
    for (const source of LOCAL_KINDS) {
      effect(() => {
        const { track } = this.#local.source(source)();
        if (this.#opened()) this.#send(source, track);
      });
    }
    // Picture and sound of a share go together, also when they are sent once more.
    effect(() => {
      const share = this.#screen.state();
      if (!this.#opened()) return;
      const { picture, sound } = share.kind === 'sharing' ? share : {};
      this.#sendOrEnd('screen', picture);
      this.#sendOrEnd('screen-audio', sound);
    });
    effect((onCleanup) => {
      if (this.#phase().name === 'in') onCleanup(watchSleep(() => this.#onWake()));
    });
    effect(() => {
      const participants = this.#store.participants();
      if (this.#phase().name === 'in' && participants.length > 0) this.#planWatch();
    });
  }

  /** Enters. Call it at the click, before the conference's screen is there: the two load side by side. */
  async join(roomId: string): Promise<void> {
    const { name } = this.#phase();
    if ((name === 'in' || name === 'joining' || name === 'waiting') && this.#store.roomId() === roomId) return;
    this.#phase.set({ name: 'joining' });
    await this.#enter(roomId);
  }

  /** Waits on where this tab waited before the page was loaded again. @returns whether it did */
  waitOn(roomId: string): boolean {
    if (this.#phase().name !== 'out' || sessionStorage.getItem(WAITS_IN) !== roomId) return false;
    void this.#local.open();
    void this.join(roomId);
    return true;
  }

  /** Enters, or waits to be let in. */
  async #enter(roomId: string): Promise<void> {
    const stay = this.#begin();
    this.#forget();
    this.#store.roomId.set(roomId);
    this.#session.start();
    try {
      const snapshot = await this.#session.request('conference.join', { roomId });
      if (stay.aborted) return;
      markFirst('joined');
      this.#store.load(snapshot);
      this.#phase.set({ name: 'in' });
      // The screen is still being drawn: the first pictures are asked for before it says where they will be.
      if (this.#tiles.length === 0 && !document.hidden) this.#guess(likelyTiles(snapshot.participants, snapshot.me));
      globalThis.hansetagDiagnostics = diagnostics(
        () => this.#engine.transports,
        () => this.#store.remoteMedia().values(),
      );
      this.#modules.joined(snapshot);
      await this.#openMedia(snapshot.media);
    } catch (error) {
      if (stay.aborted) return;
      if (error instanceof SessionError && error.code === 'must-wait') await this.#wait(roomId, stay);
      else await this.#notEntered(roomId, error);
    }
  }

  async #wait(roomId: string, stay: AbortSignal): Promise<void> {
    try {
      const { title, ...state } = await this.#session.request('conference.wait', { roomId });
      if (stay.aborted) return;
      this.#store.title.set(title);
      this.#phase.set({ name: 'waiting', state });
    } catch (error) {
      if (!stay.aborted) await this.#notEntered(roomId, error);
    }
  }

  async #notEntered(roomId: string, error: unknown): Promise<void> {
    const lost = error instanceof SessionError && error.code === 'connection-lost';
    // Who waits goes on with the next session by itself.
    if (lost && this.#phase().name === 'waiting') return;
    this.#phase.set(lost ? { name: 'out' } : { name: 'failed', error });
    // The session ended under our feet, before the answer: once more with the next one.
    if (lost && this.#session.state() !== 'refused') await this.join(roomId);
  }

  #onWaiting({ name, data }: Notification): void {
    if (name === 'waiting.changed') this.#phase.set({ name: 'waiting', state: data });
    if (name !== 'waiting.ended') return;
    if (data.outcome !== 'admitted') {
      this.#end({ reason: data.outcome === 'refused' ? 'refused' : 'over' });
      return;
    }
    this.#sentBack.set(undefined);
    this.#sounds.play('admitted');
    this.#announcements.now($localize`:@@waiting.admitted:You were let in. You are entering the meeting.`);
    this.#phase.set({ name: 'joining' });
    void this.#enter(this.#store.roomId());
  }

  readonly canShare = this.#screen.supported;

  leave(): void {
    if (this.#phase().name === 'in' || this.#phase().name === 'joining') {
      this.#session.request('conference.leave', {}).catch(() => undefined);
    }
    if (this.#phase().name === 'waiting') {
      this.#session.request('conference.stop-waiting', {}).catch(() => undefined);
    }
    this.#sentBack.set(undefined);
    sessionStorage.removeItem(WAITS_IN);
    this.#closeMedia();
    this.#forget();
    this.#phase.set({ name: 'out' });
  }

  /** The tiles in view have changed. */
  show(tiles: readonly VisibleTile[]): void {
    const first = this.#tiles.length === 0;
    this.#tiles = tiles;
    if (first) this.#watchNow();
    else this.#planWatch();
  }

  /** Begins to share the screen, or ends it. Nothing happens where the browser cannot share, or still asks. */
  toggleScreen(): void {
    const { kind } = this.#screen.state();
    if (kind === 'sharing') this.stopScreen();
    else if (kind === 'off' && this.#phase().name === 'in') void this.#screen.start(this.#stay.signal);
  }

  stopScreen(): void {
    this.#screen.stop();
  }

  /** The person's answer after the computer was asleep. */
  answerSlept(turnOn: boolean): void {
    const slept = this.#slept();
    this.#slept.set(undefined);
    if (turnOn) for (const kind of slept?.devices ?? []) void this.#local.turn(kind, true);
  }

  /** Nobody knows who stands before an opened lid: nothing is sent before the person says so. */
  #onWake(): void {
    const devices = LOCAL_KINDS.filter((kind) => untracked(this.#local.source(kind)).on);
    const screen = untracked(this.#screen.state).kind !== 'off';
    if (devices.length === 0 && !screen) return;
    this.#local.release();
    this.#screen.stop();
    this.#slept.set({ devices, screen });
  }

  #sendOrEnd(source: Source, track: MediaStreamTrack | undefined): void {
    if (track) this.#send(source, track);
    else this.#engine.unpublish(source).catch(() => undefined);
  }

  #send(source: Source, track: MediaStreamTrack | undefined): void {
    // What was not said because the line broke is put right by `agree` after the return.
    this.#engine.setTrack(source, track).catch(() => undefined);
  }

  #onNotification(notification: Notification): void {
    if (this.#phase().name === 'waiting') this.#onWaiting(notification);
    if (this.#phase().name !== 'in') return;
    const { name, data } = notification;
    // Before the store forgets who has left.
    if (name === 'participant.joined') this.#events.next({ kind: 'joined', person: data });
    if (name === 'participant.left') {
      const person = this.#store.participant(data.participantId);
      if (person) this.#events.next({ kind: 'left', person });
    }
    if (name === 'organisations.untrusted') this.#tellUntrusted(data.organisations);
    this.#store.apply(name, data);
    this.#modules.apply(notification);
    switch (name) {
      case 'consumer.added':
        void this.#engine.added(data, this.#store.comesByLink(data.participantId));
        break;
      case 'consumer.removed':
        this.#engine.removed(data.consumerId);
        break;
      case 'consumer.layers':
        this.#engine.layers(data.consumerId, data.layers === null);
        break;
      case 'media.restart':
        void this.#openMedia();
        break;
      case 'conference.ended':
        if (data.reason === 'waiting') this.#waitAgain(data);
        else this.#end(data);
        break;
      default:
      // Of the store's concern, a module's, or another screen's.
    }
  }

  /** Whoever was here and is gone without having left. */
  #tellUntrusted(organisations: readonly UntrustedOrganisation[]): void {
    const before = new Set(this.#store.untrusted().map(({ organisation }) => organisation));
    for (const { organisation, reason } of organisations) {
      if (before.has(organisation)) continue;
      this.#told.tell(untrustedNow(this.#store.organisation(organisation).displayName, reason));
    }
  }

  /** The homeserver does not know our session any more: take the place again, with the media that still runs. */
  async #rejoin(): Promise<void> {
    if (this.#phase().name !== 'in') return;
    const { signal: stay } = this.#stay;
    const roomId = this.#store.roomId();
    const keepMedia = this.#opened() ? this.#engine.kept : undefined;
    const params: Params<'conference.join'> = { roomId, ...(keepMedia ? { keepMedia } : {}) };
    try {
      const snapshot = await this.#session.request('conference.join', params);
      if (stay.aborted) return;
      this.#store.load(snapshot);
      this.#modules.joined(snapshot);
      if (snapshot.media) {
        await this.#openMedia(snapshot.media);
        return;
      }
      this.#engine.watchAgain();
      const me = snapshot.participants.find((participant) => participant.participantId === snapshot.me);
      await this.#engine.agree(me?.sources ?? []).catch(() => undefined);
    } catch (error) {
      if (stay.aborted) return;
      // With yet another session this runs anew by itself.
      if (error instanceof SessionError && error.code === 'connection-lost') return;
      if (error instanceof SessionError && (error.code === 'forbidden' || error.code === 'not-found')) {
        this.#end({ reason: 'removed' });
        return;
      }
      setTimeout(() => {
        if (!stay.aborted) void this.#rejoin();
      }, AGAIN_MS);
    }
  }

  /** Opens media, again and again until it is there or not wanted any more. */
  async #openMedia(offered?: MediaOpened): Promise<void> {
    this.#media.abort();
    this.#media = new AbortController();
    const { signal: wanted } = this.#media;
    this.#reopening.set(this.#opened() !== undefined || this.#reopening());
    this.#opened.set(undefined);
    this.#line.restarting();
    let wait = AGAIN_MS;
    for (let media = offered; !wanted.aborted && this.#phase().name === 'in'; media = undefined) {
      try {
        const opened = media ?? (await this.#session.request('media.open', {}));
        if (wanted.aborted) return;
        await this.#engine.open(opened, wanted);
        // The engine made nothing then.
        if (wanted.aborted) return;
        const addresses = opened.send.iceCandidates.map(({ address, ip }) => address ?? ip ?? '');
        this.#line.opened(addresses, this.#engine.usesLoopback);
        this.#reopening.set(false);
        this.#opened.set(wanted);
        this.#watchNow();
        return;
      } catch (error) {
        // A new session takes care of media itself.
        if (error instanceof SessionError && error.code === 'connection-lost') return;
        await new Promise((resolve) => setTimeout(resolve, wait));
        // The SFU is back within seconds; what fails in this browser will not heal faster by asking often.
        wait = error instanceof SessionError ? AGAIN_MS : Math.min(wait * 2, AGAIN_LONGEST_MS);
      }
    }
  }

  /** Takes these tiles for those in view, until the screen tells which ones are, or none. */
  #guess(tiles: readonly VisibleTile[]): void {
    this.#tiles = tiles;
    setTimeout(() => {
      if (this.#tiles === tiles) this.show([]);
    }, GUESS_MS);
  }

  #planWatch(): void {
    this.#watchTimer ??= setTimeout(() => this.#watchNow(), WATCH_REST_MS);
  }

  #watchNow(): void {
    clearTimeout(this.#watchTimer);
    this.#watchTimer = undefined;
    if (this.#phase().name !== 'in') return;
    this.#engine.watch(watchPlan(untracked(this.#store.participants), this.#tiles, untracked(this.#store.me)));
  }

  /** Somebody has sent the person back: there is nothing to press, the waiting begins at once. */
  #waitAgain(how: Ended): void {
    this.#closeMedia();
    this.#phase.set({ name: 'joining' });
    void this.#enter(this.#store.roomId());
    this.#sentBack.set(how);
  }

  #end(how: Ended): void {
    this.#closeMedia();
    this.#forget();
    this.#phase.set({ name: 'ended', how });
  }

  /** Nothing of a meeting remains on the screen after it. */
  #forget(): void {
    this.#store.clear();
    this.#modules.left();
    this.#told.clear();
    this.#announcements.silence();
  }

  /** A new stay in a meeting. */
  #begin(): AbortSignal {
    this.#stay.abort();
    this.#stay = new AbortController();
    return this.#stay.signal;
  }

  /** Ends everything that belongs to the stay: nothing is captured, sent or asked after it. */
  #closeMedia(): void {
    this.#stay.abort();
    this.#media.abort();
    clearTimeout(this.#watchTimer);
    this.#watchTimer = undefined;
    this.#tiles = [];
    this.#opened.set(undefined);
    this.#reopening.set(false);
    this.#engine.close();
    this.#engine.watch([]);
    this.#line.closed();
    this.#slept.set(undefined);
    this.#local.release();
    globalThis.hansetagDiagnostics = undefined;
  }
}

/** A remote track is muted until its first packet comes. */
function noteFirstSound(track: MediaStreamTrack): void {
  if (!track.muted) markFirst('firstRemoteAudio');
  else track.addEventListener('unmute', () => markFirst('firstRemoteAudio'), { once: true });
}

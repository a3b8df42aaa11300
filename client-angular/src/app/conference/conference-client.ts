/**
 * The person's place in a conference: joins and leaves, brings session, media and own devices together, and puts
 * everything back by itself when the homeserver, the SFU or the line was away.
 */
import { computed, effect, inject, Injectable, signal, untracked } from '@angular/core';
import type { MediaOpened, NotificationData, NotificationName, Params } from '../../../../protocol/session.ts';
import { LocalMedia } from '../media/local-media.ts';
import { MediaEngine } from '../media/media-engine.ts';
import { likelyTiles, type VisibleTile, watchPlan } from '../media/watch-plan.ts';
import { Session } from '../session/session.ts';
import { SessionError } from '../session/session-error.ts';
import { Chat } from './chat.ts';
import { diagnostics } from './diagnostics.ts';
import { markFirst } from './marks.ts';
import { ConferenceStore } from './store.ts';

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
  | { name: 'ended'; reason: NotificationData<'conference.ended'>['reason'] };

/** What is worth a sentence to somebody who does not see the screen. */
export interface ConferenceEvent {
  kind: 'joined' | 'left';
  displayName: string;
}

@Injectable({ providedIn: 'root' })
export class ConferenceClient {
  readonly #session = inject(Session);
  readonly #store = inject(ConferenceStore);
  readonly #local = inject(LocalMedia);
  readonly #chat = inject(Chat);
  readonly #phase = signal<Phase>({ name: 'out' });
  readonly phase = this.#phase.asReadonly();
  readonly #mediaOpen = signal(false);
  /** False while media is being opened (again). */
  readonly mediaOpen = this.#mediaOpen.asReadonly();
  readonly screen = signal<MediaStreamTrack | undefined>(undefined);
  readonly #events = new Set<(event: ConferenceEvent) => void>();
  /** The connection to the own homeserver is lost while in the conference. */
  readonly disconnected = computed(() => this.#phase().name === 'in' && this.#session.state() !== 'open');
  readonly #engine = new MediaEngine((method, params) => this.#session.request(method, params), {
    onRemoteMedia: (media) => {
      this.#store.remoteMedia.set(media);
      for (const { track } of media.values()) if (track.kind === 'audio') noteFirstSound(track);
    },
    onBroken: () => void this.#openMedia(),
  });
  #tiles: readonly VisibleTile[] = [];
  #watchTimer: ReturnType<typeof setTimeout> | undefined;
  /** Counts the times that media was opened or given up: late answers to older ones are thrown away. */
  #round = 0;

  constructor() {
    this.#session.listen({
      onNewSession: () => void this.#rejoin(),
      onNotification: (name, data) => this.#onNotification(name, data),
    });
    effect(() => {
      if (this.#session.state() === 'refused' && untracked(this.#phase).name === 'in') this.#end('signed-out');
    });
    // A closed tab leaves at once; the others need not wait until its session runs out.
    addEventListener('pagehide', () => this.leave());
    for (const source of ['microphone', 'camera'] as const) {
      effect(() => {
        const { track } = this.#local.source(source)();
        if (this.#mediaOpen()) this.#send(source, track);
      });
    }
    effect(() => {
      const participants = this.#store.participants();
      if (this.#phase().name === 'in' && participants.length > 0) this.#planWatch();
    });
  }

  onEvent(listener: (event: ConferenceEvent) => void): () => void {
    this.#events.add(listener);
    return () => this.#events.delete(listener);
  }

  /** Enters. Call it at the click, before the conference's screen is there: the two load side by side. */
  async join(roomId: string): Promise<void> {
    const { name } = this.#phase();
    if ((name === 'in' || name === 'joining') && this.#store.roomId() === roomId) return;
    this.#store.clear();
    this.#store.roomId.set(roomId);
    this.#phase.set({ name: 'joining' });
    this.#session.start();
    try {
      const snapshot = await this.#session.request('conference.join', { roomId });
      if (this.#phase().name !== 'joining') return;
      markFirst('joined');
      this.#store.load(snapshot);
      this.#phase.set({ name: 'in' });
      // The screen is still being drawn: the first pictures are asked for before it says where they will be.
      if (this.#tiles.length === 0 && !document.hidden) this.#guess(likelyTiles(snapshot.participants, snapshot.me));
      globalThis.hansetagDiagnostics = diagnostics(
        () => this.#engine.transports,
        () => this.#store.remoteMedia().values(),
      );
      void this.#chat.open(roomId);
      await this.#openMedia(snapshot.media);
    } catch (error) {
      if (this.#phase().name !== 'joining' || this.#store.roomId() !== roomId) return;
      const lost = error instanceof SessionError && error.code === 'connection-lost';
      this.#phase.set(lost ? { name: 'out' } : { name: 'failed', error });
      // The session ended under our feet, before the answer: once more with the next one.
      if (lost && this.#session.state() !== 'refused') await this.join(roomId);
    }
  }

  /** Phones can not share their screen. */
  readonly canShare = typeof (navigator.mediaDevices as MediaDevices | undefined)?.getDisplayMedia === 'function';

  leave(): void {
    if (this.#phase().name === 'in' || this.#phase().name === 'joining') {
      this.#session.request('conference.leave', {}).catch(() => undefined);
    }
    this.#closeMedia();
    this.#store.clear();
    this.#phase.set({ name: 'out' });
  }

  /** The tiles in view have changed. */
  show(tiles: readonly VisibleTile[]): void {
    const first = this.#tiles.length === 0;
    this.#tiles = tiles;
    if (first) this.#watchNow();
    else this.#planWatch();
  }

  async shareScreen(): Promise<void> {
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: true });
    } catch {
      // The person closed the browser's question: an answer, not a failure.
      return;
    }
    const [track] = stream.getVideoTracks();
    const [sound] = stream.getAudioTracks();
    if (!track) return;
    track.contentHint = 'detail';
    track.addEventListener('ended', () => this.stopScreen());
    this.screen.set(track);
    this.#send('screen', track);
    if (sound) this.#send('screen-audio', sound);
  }

  /** Begins to share the screen, or ends it. Nothing happens where the browser can not share. */
  toggleScreen(): void {
    if (this.screen()) this.stopScreen();
    else if (this.canShare) void this.shareScreen();
  }

  stopScreen(): void {
    this.screen()?.stop();
    this.screen.set(undefined);
    for (const source of ['screen', 'screen-audio'] as const) this.#engine.unpublish(source).catch(() => undefined);
  }

  #send(source: Parameters<MediaEngine['setTrack']>[0], track: MediaStreamTrack | undefined): void {
    // What was not said because the line broke is put right by `agree` after the return.
    this.#engine.setTrack(source, track).catch(() => undefined);
  }

  #onNotification<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    if (this.#phase().name !== 'in') return;
    this.#announce(name, data);
    this.#store.apply(name, data);
    this.#handlers[name]?.(data);
  }

  readonly #handlers: { [N in NotificationName]?: (data: NotificationData<N>) => void } = {
    'consumer.added': (data) => void this.#engine.added(data),
    'consumer.removed': ({ consumerId }) => this.#engine.removed(consumerId),
    'consumer.layers': ({ consumerId, layers }) => this.#engine.layers(consumerId, layers === null),
    'media.restart': () => void this.#openMedia(),
    'chat.message': (message) => this.#chat.received(message),
    'conference.ended': ({ reason }) => this.#end(reason),
  };

  #announce<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    if (name === 'participant.joined') {
      const { displayName } = data as NotificationData<'participant.joined'>;
      for (const listener of this.#events) listener({ kind: 'joined', displayName });
    } else if (name === 'participant.left') {
      const { participantId } = data as NotificationData<'participant.left'>;
      const displayName = this.#store.participant(participantId)?.displayName;
      if (displayName !== undefined) for (const listener of this.#events) listener({ kind: 'left', displayName });
    }
  }

  /** The homeserver does not know our session any more: take the place again, with the media that still runs. */
  async #rejoin(): Promise<void> {
    if (this.#phase().name !== 'in') return;
    const roomId = this.#store.roomId();
    const keepMedia = this.#mediaOpen() ? this.#engine.kept : undefined;
    const params: Params<'conference.join'> = { roomId, ...(keepMedia ? { keepMedia } : {}) };
    try {
      const snapshot = await this.#session.request('conference.join', params);
      if (this.#phase().name !== 'in') return;
      this.#store.load(snapshot);
      void this.#chat.open(roomId);
      if (snapshot.media) {
        await this.#openMedia(snapshot.media);
        return;
      }
      this.#engine.watchAgain();
      const me = snapshot.participants.find((participant) => participant.participantId === snapshot.me);
      await this.#engine.agree(me?.sources ?? []).catch(() => undefined);
    } catch (error) {
      // With yet another session this runs anew by itself.
      if (error instanceof SessionError && error.code === 'connection-lost') return;
      if (error instanceof SessionError && (error.code === 'forbidden' || error.code === 'not-found')) {
        this.#end('removed');
        return;
      }
      setTimeout(() => void this.#rejoin(), AGAIN_MS);
    }
  }

  /** Opens media, again and again until it is there or not wanted any more. */
  async #openMedia(offered?: MediaOpened): Promise<void> {
    const round = ++this.#round;
    this.#mediaOpen.set(false);
    let wait = AGAIN_MS;
    for (let media = offered; round === this.#round && this.#phase().name === 'in'; media = undefined) {
      try {
        const opened = media ?? (await this.#session.request('media.open', {}));
        if (round !== this.#round) return;
        await this.#engine.open(opened);
        if (round !== this.#round) return;
        this.#mediaOpen.set(true);
        const screen = this.screen();
        if (screen) this.#send('screen', screen);
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

  #end(reason: NotificationData<'conference.ended'>['reason']): void {
    this.#closeMedia();
    this.#store.clear();
    this.#phase.set({ name: 'ended', reason });
  }

  #closeMedia(): void {
    this.#round += 1;
    clearTimeout(this.#watchTimer);
    this.#watchTimer = undefined;
    this.#tiles = [];
    this.#mediaOpen.set(false);
    this.#engine.close();
    this.#engine.watch([]);
    this.screen()?.stop();
    this.screen.set(undefined);
    this.#local.release();
    globalThis.hansetagDiagnostics = undefined;
  }
}

/** A remote track is muted until its first packet comes. */
function noteFirstSound(track: MediaStreamTrack): void {
  if (!track.muted) markFirst('firstRemoteAudio');
  else track.addEventListener('unmute', () => markFirst('firstRemoteAudio'), { once: true });
}

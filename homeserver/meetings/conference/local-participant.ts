/** A participant of our own organisation: the media it has on our SFU, and what it wants to see and hear. */
import type { RtpCapabilities, Source } from '../../../protocol/media.ts';
import type { Signals } from '../../../protocol/modules/list.ts';
import type { Right, Role } from '../../../protocol/rights.ts';
import type { Watch } from '../../../protocol/session.ts';
import { Rounds } from '../../base/rounds.ts';
import type { Notifier } from './notification.ts';
import { type Hold, leads, type ParticipantState } from './participant-state.ts';

/** A source on our SFU is named by participant and kind of source. */
export type SourceKey = string;
export function sourceKey(participantId: string, source: Source): SourceKey {
  return `${participantId} ${source}`;
}
export function parseSourceKey(key: SourceKey): { participantId: string; source: Source } {
  const at = key.lastIndexOf(' ');
  return { participantId: key.slice(0, at), source: key.slice(at + 1) as Source };
}

export interface LocalSource {
  readonly producerId: string;
  paused: boolean;
  /** A moderator has it paused, and the SFU has not done so yet. */
  pauseDue?: boolean;
  /** When it was last published or resumed, Unix ms, each time another one. Unknown after a restart of the homeserver. */
  resumedAt?: number;
}

export interface LocalConsumer {
  consumerId: string;
  /** Undefined when it is one of before, which is to be replaced in any case. */
  producerId: string | undefined;
  /** The consumer that brings the source until the client is ready for this one. */
  replaces: string | undefined;
  spatialLayer: number | undefined;
  priority: number | undefined;
}

/** What a participant has on our SFU. All of it ends together; what comes after it is another object. */
export class LocalMedia {
  send: string | undefined;
  receive: string | undefined;
  /**
   * What the client can receive, from the moment on in which it has said what it wants over this media. After a restart of
   * the homeserver nothing follows from an empty `wants` until then: it still shows what its consumers bring. With new
   * transports it gets no consumers before: it could not take them yet.
   */
  rtpCapabilities: RtpCapabilities | undefined;
  readonly sources = new Map<Source, LocalSource>();
  readonly consumers = new Map<SourceKey, LocalConsumer>();

  /** Whether a transport is one of these: a client may name its own only. */
  has(transportId: string): boolean {
    return transportId === this.send || transportId === this.receive;
  }

  get transports(): string[] {
    return [this.send, this.receive].filter((transportId) => transportId !== undefined);
  }
}

export class LocalParticipant {
  readonly participantId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly guest: boolean;
  displayName: string;
  role: Role = 'participant';
  /** What it may do, as it was last told. */
  rights: readonly Right[] = [];
  readonly joinedAt: number;
  /** When its membership was last written, Unix ms. */
  renewedAt: number;
  /** What it does besides media, by module; kept with its place. */
  signals: Signals;
  media = new LocalMedia();
  readonly wants = new Map<SourceKey, Watch>();
  /** Brings its consumers up to date. */
  readonly receiving = new Rounds();
  #state: ParticipantState;

  constructor(options: {
    participantId: string;
    userId: string;
    deviceId: string;
    guest: boolean;
    displayName: string;
    joinedAt: number;
    signals?: Signals;
    state: ParticipantState;
  }) {
    this.participantId = options.participantId;
    this.userId = options.userId;
    this.deviceId = options.deviceId;
    this.guest = options.guest;
    this.displayName = options.displayName;
    this.joinedAt = options.joinedAt;
    this.renewedAt = options.joinedAt;
    this.signals = options.signals ?? {};
    this.#state = options.state;
  }

  // ---- its state ----

  get state(): ParticipantState {
    return this.#state;
  }

  /** The session that holds the seat. */
  get notifier(): Notifier | undefined {
    return 'notifier' in this.#state ? this.#state.notifier : undefined;
  }

  /** How the others see it. */
  get presence(): 'here' | 'reconnecting' {
    return this.#state.kind === 'reconnecting' ? 'reconnecting' : 'here';
  }

  /** It has a seat: in the conference, or on the way in. */
  get isSeated(): boolean {
    return this.#state.kind !== 'leaving' && this.#state.kind !== 'gone';
  }

  /** A membership of it stands in the room, or may. */
  get isWritten(): boolean {
    const state = this.#state;
    return this.isSeated && (state.kind !== 'entering' || state.membership === 'written');
  }

  /** Writing its membership begins. */
  writing(): void {
    if (this.#state.kind === 'entering') this.#state = { ...this.#state, membership: 'written' };
  }

  /** It is in the conference now, or its session is here again. @param attached whether its client is connected */
  arrive(attached: boolean): void {
    const state = this.#state;
    if (!('hold' in state) || !state.notifier) return;
    this.#state = { kind: attached ? 'here' : 'reconnecting', hold: state.hold, notifier: state.notifier };
  }

  /** Another session holds the seat from now on. */
  takeOver(notifier: Notifier): void {
    const state = this.#state;
    if (!leads('takeOver', state.kind) || !('hold' in state)) return;
    if ('endGrace' in state) state.endGrace();
    this.#state = { kind: state.kind === 'here' ? 'here' : 'reconnecting', hold: state.hold, notifier };
  }

  /**
   * The seat is given up, or taken away. Its conference is released by whoever calls this.
   * @returns the hold on the conference; undefined for one that has no seat any more
   */
  leave(): Hold | undefined {
    const state = this.#state;
    if (!('hold' in state)) return undefined;
    if ('endGrace' in state) state.endGrace();
    this.#state = this.isWritten ? { kind: 'leaving' } : { kind: 'gone' };
    return state.hold;
  }

  /** Its end is written. */
  end(): void {
    if (leads('end', this.#state.kind)) this.#state = { kind: 'gone' };
  }

  // ---- its media ----

  get sources(): ReadonlyMap<Source, LocalSource> {
    return this.media.sources;
  }

  get consumers(): ReadonlyMap<SourceKey, LocalConsumer> {
    return this.media.consumers;
  }

  /** Forgets all media, after the SFU has lost or closed it. */
  forgetMedia(): void {
    this.media = new LocalMedia();
  }
}

/**
 * The simulcast layer that fills a tile: clients send 180, 360 and 720 lines as layers 0, 1 and 2. A tile gets the
 * smallest layer that is not visibly soft in it (up to a quarter of enlargement).
 */
export function spatialLayerFor(height: number | undefined): number | undefined {
  if (height === undefined) return undefined;
  if (height <= 225) return 0;
  if (height <= 450) return 1;
  return 2;
}

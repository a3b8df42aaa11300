/** A participant of our own organisation: the media it has on our SFU, and what it wants to see and hear. */
import type { RtpCapabilities, Source } from '../../../protocol/media.ts';
import type { Signals } from '../../../protocol/modules/list.ts';
import type { Right } from '../../../protocol/rights.ts';
import type { NotificationData, NotificationName, Watch } from '../../../protocol/session.ts';
import type { Notification } from './notification.ts';

/** Where notifications for a participant go: its session, which holds the seat. */
export interface Notifier {
  notify<N extends NotificationName>(name: N, data: NotificationData<N>): void;
  /** The same for one that goes to others as well. */
  tell(notification: Notification): void;
  /** Whether a client is connected to it now. */
  readonly attached: boolean;
  /** It ended for good: it can hold no seat any more. */
  readonly ended: boolean;
}

/** A source on our SFU is named by participant and kind of source. */
export type SourceKey = string;
export function sourceKey(participantId: string, source: Source): SourceKey {
  return `${participantId} ${source}`;
}
export function parseSourceKey(key: SourceKey): { participantId: string; source: Source } {
  const at = key.lastIndexOf(' ');
  return { participantId: key.slice(0, at), source: key.slice(at + 1) as Source };
}

export interface LocalConsumer {
  consumerId: string;
  producerId: string;
  /** The consumer that brings the source until the client is ready for this one. */
  replaces: string | undefined;
  spatialLayer: number | undefined;
  priority: number | undefined;
}

export class LocalParticipant {
  readonly participantId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly guest: boolean;
  displayName: string;
  /** What it may do, as it was last told. */
  rights: readonly Right[] = [];
  readonly joinedAt: number;
  /** When its membership was last written, Unix ms. */
  renewedAt: number;
  /** Absent between a restart of the homeserver and the client's return. */
  notifier: Notifier | undefined;
  presence: 'here' | 'reconnecting' = 'here';
  sendTransportId: string | undefined;
  receiveTransportId: string | undefined;
  rtpCapabilities: RtpCapabilities | undefined;
  readonly sources = new Map<Source, { producerId: string; paused: boolean }>();
  /** What it does besides media, by module; kept with its place. */
  signals: Signals;
  readonly wants = new Map<SourceKey, Watch>();
  /**
   * Whether the client has said what it wants since its media was opened. After a restart of the homeserver nothing
   * follows from an empty `wants` until then: it still shows what its consumers bring. With new transports it gets no
   * consumers before: it could not take them yet.
   */
  declared = false;
  readonly consumers = new Map<SourceKey, LocalConsumer>();
  /** Reconciliation of consumers runs one at a time per participant; `dirty` asks for another round. */
  reconciling = false;
  dirty = false;
  /** The seat was given up, or taken away. Set once, before anything else happens because of it. */
  gone = false;
  /** A membership event was, or may have been, written for this seat: an end must be written as well. */
  written = false;
  /** When the membership was last written again because somebody had overwritten it; of a clock that never goes back. */
  rewrittenAt = -Infinity;
  defending = false;
  graceTimer: NodeJS.Timeout | undefined;

  constructor(options: {
    participantId: string;
    userId: string;
    deviceId: string;
    guest: boolean;
    displayName: string;
    joinedAt: number;
    signals?: Signals;
  }) {
    this.participantId = options.participantId;
    this.userId = options.userId;
    this.deviceId = options.deviceId;
    this.guest = options.guest;
    this.displayName = options.displayName;
    this.joinedAt = options.joinedAt;
    this.renewedAt = options.joinedAt;
    this.signals = options.signals ?? {};
  }

  /** Forgets all media, after the SFU has lost or closed it. */
  forgetMedia(): void {
    this.sendTransportId = undefined;
    this.receiveTransportId = undefined;
    this.declared = false;
    this.sources.clear();
    this.consumers.clear();
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

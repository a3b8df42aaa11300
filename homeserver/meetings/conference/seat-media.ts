/**
 * The media of a seat on our SFU. Each of these runs in the seat's turn (seats.ts), and looks after each wait whether
 * the seat is still there; what was made for a seat that is gone ends with its transports.
 */
import { KIND_OF_SOURCE, type RtpParameters, type Source } from '../../../protocol/media.ts';
import type { MediaOpened, Params } from '../../../protocol/session.ts';
import { SfuError } from '../../../sfu/client.ts';
import { RULE_OF_SOURCE } from '../../../protocol/modules/rules.ts';
import { MatrixError } from '../../base/errors.ts';
import { allows } from '../rules/reading.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';
import type { SfuPort } from './ports.ts';

/** A participant of ours in a conference. */
export interface Seat {
  readonly conference: Conference;
  readonly local: LocalParticipant;
}

/** Throws when the seat is not there any more. */
export type StillSeated = () => void;

export class SeatMedia {
  readonly #sfu: SfuPort;
  /** Seats by their transports, for what the SFU reports. */
  readonly #byTransport = new Map<string, Seat>();

  constructor(sfu: SfuPort) {
    this.#sfu = sfu;
  }

  seatOfTransport(transportId: string): Seat | undefined {
    return this.#byTransport.get(transportId);
  }

  /** The SFU has lost all media of a conference. */
  lost(conference: Conference): void {
    for (const [transportId, seat] of this.#byTransport) {
      if (seat.conference === conference) this.#byTransport.delete(transportId);
    }
  }

  /** The SFU has these transports of the seat already. */
  restore(seat: Seat, transportIds: readonly string[]): void {
    for (const transportId of transportIds) this.#byTransport.set(transportId, seat);
  }

  /** New transports; those that the seat had are closed. */
  async open(seat: Seat, still: StillSeated): Promise<MediaOpened> {
    const { conference, local } = seat;
    const { participantId } = local;
    const conferenceId = conference.roomId;
    for (const source of [...local.sources.keys()]) conference.removeSource(local, source);
    this.#forgetTransports(local);
    local.forgetMedia();
    const { media } = local;
    // Before the new ones are asked for, on a line that keeps the order: nothing but these two is left afterwards.
    const closed = this.#sfu.request('participant.close', { conferenceId, participantId });
    const opened = this.#sfu.request('conference.open', { conferenceId });
    const [, { rtpCapabilities }] = await Promise.all([closed, opened]);
    still();
    const [send, receive] = await Promise.all([
      this.#sfu.request('transport.create', { conferenceId, participantId, direction: 'send' }),
      this.#sfu.request('transport.create', { conferenceId, participantId, direction: 'receive' }),
    ]);
    still();
    // The SFU may have lost all media meanwhile.
    if (local.media !== media) throw noTransport();
    media.send = send.id;
    media.receive = receive.id;
    this.restore(seat, [send.id, receive.id]);
    return { rtpCapabilities, send, receive };
  }

  /** All media of a seat that was given up ends, also what is just being made. Never rejects. */
  async close({ conference, local }: Seat): Promise<void> {
    this.#forgetTransports(local);
    const { participantId } = local;
    // Where the SFU can not be reached, this is made good when it is there again (closeStrays in sfu-snapshot.ts).
    await this.#sfu
      .request('participant.close', { conferenceId: conference.roomId, participantId })
      .catch(() => undefined);
  }

  async connect({ local }: Seat, params: Params<'media.connect'>): Promise<void> {
    checkTransport(local, params.transportId);
    await this.#sfu.request('transport.connect', params);
  }

  /**
   * Declares what is wanted over the transport to receive. A client that still has older transports could not take the
   * consumers, and none is brought twice.
   */
  watch({ conference, local }: Seat, { transportId, rtpCapabilities, watch }: Params<'media.watch'>): void {
    if (transportId !== local.media.receive) throw noTransport();
    conference.reception.watch(local, rtpCapabilities, watch);
  }

  async restartIce({ local }: Seat, params: Params<'media.restart-ice'>) {
    checkTransport(local, params.transportId);
    return this.#sfu.request('transport.restartIce', params);
  }

  /**
   * Starts a source, or replaces it. @returns the id of the producer
   * @throws MatrixError 403 when the rules of the meeting do not allow it
   */
  async publish(
    seat: Seat,
    params: { transportId: string; source: Source; rtpParameters: RtpParameters; paused: boolean },
    still: StillSeated,
  ): Promise<string> {
    const { conference, local } = seat;
    const { transportId, source, rtpParameters, paused } = params;
    requireMaySend(seat, source);
    const { media } = local;
    if (transportId !== media.send) throw noTransport();
    if (!rtpParameters.codecs.every((codec) => codec.mimeType.startsWith(`${KIND_OF_SOURCE[source]}/`))) {
      throw new SfuError('bad-request', 'The codecs do not fit the source.');
    }
    const old = local.sources.get(source);
    if (old) {
      conference.removeSource(local, source);
      await this.#sfu.request('producer.close', { producerId: old.producerId }).catch(() => undefined);
      still();
    }
    const { producerId } = await this.#sfu.request('producer.create', { transportId, source, rtpParameters, paused });
    still();
    // The SFU may have lost all media meanwhile, and this source with it.
    if (local.media !== media) throw new SfuError('conflict', 'The transport is not there any more.');
    if (!maySend(seat, source)) {
      await this.#sfu.request('producer.close', { producerId }).catch(() => undefined);
      throw refusedByRules();
    }
    conference.addSource(local, source, producerId, paused);
    return producerId;
  }

  async unpublish({ conference, local }: Seat, source: Source): Promise<void> {
    const held = local.sources.get(source);
    if (!held) return;
    conference.removeSource(local, source);
    await this.#sfu.request('producer.close', { producerId: held.producerId });
  }

  /** @throws MatrixError 403 when it is to be resumed and the rules of the meeting do not allow it */
  async setPaused(seat: Seat, source: Source, paused: boolean, still: StillSeated): Promise<void> {
    const { conference, local } = seat;
    const held = local.sources.get(source);
    if (!held) throw new SfuError('not-found', 'This source is not published.');
    if (!paused) requireMaySend(seat, source);
    await this.#sfu.request(paused ? 'producer.pause' : 'producer.resume', { producerId: held.producerId });
    still();
    if (local.sources.get(source) !== held) return;
    if (!paused && !maySend(seat, source)) {
      await this.pauseByOrder(seat, source, still);
      throw refusedByRules();
    }
    conference.setPaused(local, held, paused);
  }

  /**
   * Pauses a source as somebody else has ordered. Where the SFU cannot be reached now, it is paused as soon as that is there
   * again.
   */
  async pauseByOrder(seat: Seat, source: Source, still: StillSeated): Promise<void> {
    const held = seat.local.sources.get(source);
    if (!held) return;
    held.pauseDue = true;
    await this.setPaused(seat, source, true, still);
  }

  /** The client has made its consumers: what they bring begins to flow. */
  async ready({ conference, local }: Seat, consumerIds: readonly string[]): Promise<void> {
    await conference.reception.ready(local, consumerIds);
  }

  /** Brings the consumers of a client that comes back together with those that are here. */
  keepConsumers({ conference, local }: Seat, consumers: readonly string[]): void {
    conference.reception.keep(local, consumers);
  }

  #forgetTransports(local: LocalParticipant): void {
    for (const transportId of local.media.transports) this.#byTransport.delete(transportId);
  }
}

/** Whether the rules of the meeting let one of our participants send a source. */
export function maySend({ conference, local }: Seat, source: Source): boolean {
  return allows(conference.rules, RULE_OF_SOURCE[source], local.userId, local.role);
}

/** @throws MatrixError 403 when the rules of the meeting do not let a participant send a source now */
function requireMaySend(seat: Seat, source: Source): void {
  if (!maySend(seat, source)) throw refusedByRules();
}

function refusedByRules(): MatrixError {
  return new MatrixError(403, 'M_FORBIDDEN', 'The rules of this meeting do not let you send that.');
}

/** A client may name its own transports only. */
function checkTransport({ media }: LocalParticipant, transportId: string): void {
  if (!media.has(transportId)) throw noTransport();
}

function noTransport(): SfuError {
  return new SfuError('not-found', 'No such transport.');
}

/**
 * What our SFU reports of conferences, and how everything is found again: after a restart of the homeserver, after one
 * of the SFU, and after a mere break of the control line.
 */
import type { Logger } from 'pino';
import type { SfuSnapshot } from '../../../sfu/protocol.ts';
import type { LocalRights } from '../../engine/rooms/ports.ts';
import type { Conference } from './conference.ts';
import type { Place, Places } from './places.ts';
import type { RoomPort, SfuPort } from './ports.ts';
import type { Registry } from './registry.ts';
import { isJoined } from './room-memberships.ts';
import type { Seat, SeatMedia } from './seat-media.ts';
import type { Seats } from './seats.ts';
import { closeStrays, restoreLinks, restoreMedia } from './sfu-snapshot.ts';

export interface SfuEventsDeps {
  readonly rooms: RoomPort;
  readonly sfu: SfuPort;
  readonly places: Pick<Places, 'all' | 'remove'>;
  readonly conferences: Registry;
  readonly seats: Seats;
  readonly media: SeatMedia;
  /** What the accounts of our people allow. */
  readonly standing: Pick<LocalRights, 'isGuest'>;
  readonly log: Logger;
  /** Sees to it that the membership of a seat stands in the room. */
  restored(seat: Seat): void;
}

export class SfuEvents {
  readonly #deps: SfuEventsDeps;
  /** Of the SFU that was last connected. */
  #instanceId: string | undefined;
  readonly #restored = Promise.withResolvers<void>();

  constructor(deps: SfuEventsDeps) {
    this.#deps = deps;
  }

  /** Whether an SFU has ever been connected. */
  get wasConnected(): boolean {
    return this.#instanceId !== undefined;
  }

  /** Resolves once the places of the last run are taken over, for which the SFU has to be connected. */
  get restored(): Promise<void> {
    return this.#restored.promise;
  }

  /** @returns functions that end the listening */
  start(): (() => void)[] {
    const { sfu, conferences, media } = this.#deps;
    return [
      sfu.on('conference.lost', ({ conferenceIds }) => {
        for (const id of conferenceIds) this.#mediaLost(conferences.get(id), 'worker-died');
      }),
      sfu.on('consumer.closed', ({ consumerId, transportId }) => {
        const seat = media.seatOfTransport(transportId);
        seat?.conference.reception.closed(seat.local, consumerId);
      }),
      sfu.on('consumer.layers', ({ consumerId, transportId, layers }) => {
        media.seatOfTransport(transportId)?.local.notifier?.notify('consumer.layers', { consumerId, layers });
      }),
      sfu.on('speaking', ({ conferenceId, participantIds }) => {
        conferences.get(conferenceId)?.notifyAll('speaking', { participantIds });
      }),
      sfu.on('producer.closed', ({ conferenceId, producerId }) => {
        const conference = conferences.get(conferenceId);
        if (!conference) return;
        for (const local of conference.locals.values()) {
          for (const [source, held] of local.sources) {
            if (held.producerId === producerId) conference.removeSource(local, source);
          }
        }
      }),
      sfu.on('link.state', ({ conferenceId, peer, linkId, state, roundTripMs, loss }) => {
        conferences.get(conferenceId)?.links.get(peer)?.probed(linkId, state, roundTripMs, loss);
      }),
      sfu.onState(({ connected, hello }) => {
        if (!connected || !hello) {
          for (const conference of conferences.all) {
            conference.notifyAll('media.service', { available: false });
          }
          return;
        }
        const fresh = this.#instanceId === undefined;
        const same = this.#instanceId === hello.instanceId;
        this.#instanceId = hello.instanceId;
        this.#repair(fresh, same, hello.snapshot).catch((error: unknown) =>
          this.#deps.log.error({ err: error }, 'conference: the state of the SFU could not be taken over'),
        );
      }),
    ];
  }

  /**
   * The SFU is there (again). After a restart of the homeserver its snapshot is the truth about media; after a
   * restart of the SFU everybody opens media anew; after a mere break of the control line only what is gone does.
   */
  async #repair(fresh: boolean, same: boolean, snapshot: SfuSnapshot): Promise<void> {
    const { sfu, conferences } = this.#deps;
    if (fresh) await this.#restore(snapshot).finally(() => this.#restored.resolve());
    const alive = new Set(snapshot.conferences.map((conference) => conference.conferenceId));
    for (const conference of conferences.all) {
      if (!fresh) conference.notifyAll('media.service', { available: true });
      if (!same && !fresh) this.#mediaLost(conference, 'sfu-lost');
      else if (same && !alive.has(conference.roomId)) this.#mediaLost(conference, 'worker-died');
    }
    if (fresh || same) closeStrays(sfu, snapshot, conferences);
  }

  #mediaLost(conference: Conference | undefined, reason: 'worker-died' | 'sfu-lost'): void {
    if (!conference) return;
    this.#deps.media.lost(conference);
    conference.mediaLost(reason);
  }

  /** Takes over the places that our participants held when the homeserver ended, and their media. */
  async #restore(snapshot: SfuSnapshot): Promise<void> {
    const { places, sfu, conferences, log } = this.#deps;
    for (const place of await places.all()) {
      await this.#restorePlace(place, snapshot).catch((error: unknown) => {
        log.error({ err: error, roomId: place.roomId }, 'conference: a place was not taken over');
      });
    }
    restoreLinks(sfu, snapshot, conferences);
    for (const conference of conferences.all) conference.ensureLinks();
    log.info({ conferences: conferences.all.length }, 'conference: places taken over');
  }

  async #restorePlace(place: Place, snapshot: SfuSnapshot): Promise<void> {
    const { places, rooms, standing, media, seats, restored: takenOver } = this.#deps;
    const { roomId, userId, deviceId } = place;
    const state = await rooms.state(roomId).catch(() => undefined);
    if (!state || !isJoined(state, userId)) {
      await places.remove(roomId, userId, deviceId);
      return;
    }
    const seat = await seats.restore(place, await standing.isGuest(userId), (restored) =>
      restoreMedia(media, restored, snapshot),
    );
    // Its membership may never have been written, or was written over while nobody here saw it.
    if (seat) takenOver(seat);
  }
}

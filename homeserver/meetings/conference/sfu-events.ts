/**
 * What our SFU reports of conferences, and how everything is found again: after a restart of the homeserver, after one
 * of the SFU, and after a mere break of the control line.
 */
import type { Logger } from 'pino';
import { stateKey } from '../../../federation/auth-rules.ts';
import type { SfuSnapshot } from '../../../sfu/protocol.ts';
import { unexpected } from '../../base/log.ts';
import { CALL_MEMBER, GUEST_FIELD } from '../../base/names.ts';
import type { Rights } from '../rights.ts';
import type { Conference } from './conference.ts';
import { LocalParticipant } from './local-participant.ts';
import { membershipKey, participantIdOf } from './membership.ts';
import type { Places } from './places.ts';
import type { RoomPort, SfuPort } from './ports.ts';
import type { Registry } from './registry.ts';
import { personIn } from './room-facts.ts';
import { isJoined } from './room-memberships.ts';
import type { SeatMedia } from './seat-media.ts';
import type { Seats } from './seats.ts';
import { closeStrays, restoreLinks, restoreMedia } from './sfu-snapshot.ts';

/** How long clients have to come back after a restart of the homeserver, in ms. */
const RESTART_GRACE_MS = 20_000;

export interface SfuEventsDeps {
  readonly serverName: string;
  readonly rights: Pick<Rights, 'roleOf'>;
  readonly rooms: RoomPort;
  readonly sfu: SfuPort;
  readonly places: Places;
  readonly conferences: Registry;
  readonly seats: Seats;
  readonly media: SeatMedia;
  readonly log: Logger;
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
        seat?.conference.consumerClosed(seat.local, consumerId);
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
          for (const conference of conferences.all.values()) {
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
    for (const [roomId, conference] of conferences.all) {
      if (!fresh) conference.notifyAll('media.service', { available: true });
      if (!same && !fresh) this.#mediaLost(conference, 'sfu-lost');
      else if (same && !alive.has(roomId)) this.#mediaLost(conference, 'worker-died');
    }
    if (fresh || same) closeStrays(sfu, snapshot, conferences.all);
  }

  #mediaLost(conference: Conference | undefined, reason: 'worker-died' | 'sfu-lost'): void {
    if (!conference) return;
    this.#deps.media.lost(conference);
    conference.mediaLost(reason);
  }

  /** Takes over the places that our participants held when the homeserver ended, and their media. */
  async #restore(snapshot: SfuSnapshot): Promise<void> {
    const { places, rooms, sfu, conferences, media, seats, log } = this.#deps;
    for (const place of await places.all()) {
      const state = await rooms.state(place.roomId).catch(() => undefined);
      if (!state || !isJoined(state, place.userId)) {
        await places.remove(place.roomId, place.userId, place.deviceId);
        continue;
      }
      const conference = await conferences.open(place.roomId);
      const participantId = participantIdOf(place.userId, place.deviceId);
      if (conference.seat(participantId)) continue;
      const own = state.get(stateKey(CALL_MEMBER, membershipKey(place.userId, place.deviceId)));
      const guest = own?.pdu.content[GUEST_FIELD] === true;
      const person = await personIn(this.#deps, place.roomId, place.userId, guest);
      const local = new LocalParticipant({ ...place, participantId, guest, displayName: person.displayName });
      const seat = { conference, local };
      restoreMedia(media, seat, snapshot);
      local.presence = 'reconnecting';
      seats.restore(seat, person);
      local.graceTimer = setTimeout(() => {
        seats.leave(seat, 'lost').catch(unexpected(log, 'a seat was not given up'));
      }, RESTART_GRACE_MS);
    }
    restoreLinks(sfu, snapshot, conferences.all);
    for (const conference of conferences.all.values()) conference.ensureLinks();
    log.info({ conferences: conferences.all.size }, 'conference: places taken over');
  }
}

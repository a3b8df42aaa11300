/**
 * What the SFU says it has, when the line to it is there (again), compared with what the homeserver knows: after a
 * restart of the homeserver media goes on, and what nobody here knows of is ended.
 */
import type { SfuSnapshot } from '../../../sfu/protocol.ts';
import type { Conference } from './conference.ts';
import type { Received } from './link-path.ts';
import { type LocalParticipant, type LocalSource, sourceKey, type SourceKey } from './local-participant.ts';
import type { SfuPort } from './ports.ts';
import type { Registry } from './registry.ts';
import type { Seat, SeatMedia } from './seat-media.ts';

type Conferences = Pick<Registry, 'get'>;
type Found = SfuSnapshot['conferences'][number];

const ignore = (): undefined => undefined;

/**
 * Ends on the SFU what belongs to no seat and no link here: given up while the SFU could not be reached, or made by a
 * request whose answer was lost. What was asked for since the snapshot is not in it.
 */
export function closeStrays(sfu: SfuPort, snapshot: SfuSnapshot, conferences: Conferences): void {
  for (const found of snapshot.conferences) {
    const { conferenceId, transports, links, producers } = found;
    const conference = conferences.get(conferenceId);
    if (!conference) {
      sfu.request('conference.close', { conferenceId }).catch(ignore);
      continue;
    }
    for (const { transportId, participantId } of transports) {
      const local = conference.seat(participantId);
      if (!local) sfu.request('participant.close', { conferenceId, participantId }).catch(ignore);
      else if (!local.media.has(transportId)) sfu.request('transport.close', { transportId }).catch(ignore);
    }
    for (const local of conference.seats()) agreeOnMedia(sfu, found, conference, local);
    for (const { linkId, peer, sending } of links) {
      const link = conference.links.get(peer);
      if (link?.has(linkId))
        link.agree(linkId, { received: producers.filter((each) => each.linkId === linkId), sending });
      else sfu.request('link.close', { linkId }).catch(ignore);
    }
  }
}

/**
 * Sources and consumers whose making was not answered are closed: the client was told that there are none, and a source
 * could not be published again beside them. Of what is paused the SFU knows best, but for what moderators have ordered
 * meanwhile.
 */
function agreeOnMedia(sfu: SfuPort, found: Found, conference: Conference, local: LocalParticipant): void {
  const { send, receive, sources, consumers } = local.media;
  const known = new Map([...sources.values()].map((source) => [source.producerId, source]));
  for (const { producerId, transportId, paused } of found.producers) {
    if (transportId === undefined || transportId !== send) continue;
    const source = known.get(producerId);
    if (!source) sfu.request('producer.close', { producerId }).catch(ignore);
    else if (source.pauseDue && !paused) pauseNow(sfu, conference, local, source);
    else if (source.paused !== paused) conference.setPaused(local, source, paused);
  }
  const used = new Set([...consumers.values()].flatMap(({ consumerId, replaces }) => [consumerId, replaces]));
  for (const { consumerId, transportId } of found.consumers) {
    if (transportId === receive && !used.has(consumerId)) sfu.request('consumer.close', { consumerId }).catch(ignore);
  }
}

function pauseNow(sfu: SfuPort, conference: Conference, local: LocalParticipant, source: LocalSource): void {
  const { producerId } = source;
  const paused = (): void => {
    if ([...local.sources.values()].includes(source)) conference.setPaused(local, source, true);
  };
  // The line may break again: then it is tried when that is mended.
  sfu.request('producer.pause', { producerId }).then(paused, ignore);
}

/** After a restart of the homeserver: the media that a seat still has. */
export function restoreMedia(media: SeatMedia, seat: Seat, snapshot: SfuSnapshot): void {
  const { conference, local } = seat;
  const found = snapshot.conferences.find((candidate) => candidate.conferenceId === conference.roomId);
  if (!found) return;
  for (const { transportId, participantId, direction } of found.transports) {
    if (participantId !== local.participantId) continue;
    local.media[direction] = transportId;
  }
  media.restore(seat, local.media.transports);
  const producers = new Map(found.producers.map((producer) => [producer.producerId, producer]));
  for (const producer of found.producers) {
    if (producer.transportId !== local.media.send || producer.transportId === undefined) continue;
    local.media.sources.set(producer.source, { producerId: producer.producerId, paused: producer.paused });
    conference.reception.setProducer(sourceKey(local.participantId, producer.source), producer.producerId);
  }
  for (const consumer of found.consumers) {
    const producer = producers.get(consumer.producerId);
    if (consumer.transportId !== local.media.receive || !producer) continue;
    const key = sourceKey(producer.participantId, producer.source);
    // Of two, the newer one was to take the place of the other.
    const before = local.consumers.get(key);
    local.media.consumers.set(key, {
      consumerId: consumer.consumerId,
      producerId: consumer.producerId,
      replaces: before?.replaces ?? before?.consumerId,
      spatialLayer: undefined,
      priority: undefined,
    });
  }
}

/** After a restart of the homeserver: the links that are still there, connected. The others are closed. */
export function restoreLinks(sfu: SfuPort, snapshot: SfuSnapshot, conferences: Conferences): void {
  for (const found of snapshot.conferences) {
    const conference = conferences.get(found.conferenceId);
    // Of two, one was to take the place of the other: the newer one is kept.
    for (const { linkId, peer, connected, sending: sent } of found.links.toReversed()) {
      const link = connected ? conference?.link(peer) : undefined;
      if (!conference || !link || link.linkId) {
        sfu.request('link.close', { linkId }).catch(ignore);
        continue;
      }
      const received = new Map<SourceKey, Omit<Received, 'flows'>>();
      const sending = new Map<SourceKey, string>();
      for (const { linkId: from, participantId, source, producerId, remoteId, paused } of found.producers) {
        if (sent.includes(producerId)) sending.set(sourceKey(participantId, source), producerId);
        if (from !== linkId) continue;
        const key = sourceKey(participantId, source);
        received.set(key, { producerId, remoteId: remoteId ?? '', paused });
        conference.reception.setProducer(key, producerId);
      }
      link.restore(linkId, received, sending);
    }
  }
}

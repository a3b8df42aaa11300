/** What each request of the session protocol does. Parameters were parsed by their schema before. */
import type { Logger } from 'pino';
import type { ChatMessage, Method, Params, Result } from '../../../protocol/session.ts';
import type { SfuClient } from '../../../sfu/client.ts';
import { KIND_OF_SOURCE, type Source } from '../../../protocol/media.ts';
import type { Rooms, StoredEvent } from '../../rooms/rooms.ts';
import { ProtocolFailure } from './failure.ts';
import { chatPosition, type Chat } from '../chat.ts';
import type { Conferences } from '../conference/conferences.ts';
import type { LocalParticipant } from '../conference/local-participant.ts';
import type { Conference } from '../conference/conference.ts';
import type { Session } from './session.ts';

export interface RequestDeps {
  conferences: Conferences;
  rooms: Rooms;
  sfu: SfuClient;
  chat: Chat;
  log: Logger;
}

/** Every method but `hello`, which makes the session and is handled by the session server. */
type Handlers = {
  [M in Exclude<Method, 'hello'>]: (session: Session, params: Params<M>) => Promise<Result<M>> | Result<M>;
};

function placeOf(session: Session): { conference: Conference; local: LocalParticipant } {
  if (!session.place || session.place.local.gone) {
    throw new ProtocolFailure('not-in-conference', 'Join the conference first.');
  }
  return session.place;
}

/** A client may name its own transports only. */
function checkTransport(local: LocalParticipant, transportId: string): void {
  if (transportId !== local.sendTransportId && transportId !== local.receiveTransportId) {
    throw new ProtocolFailure('not-found', 'No such transport.');
  }
}

export function requestHandlers(deps: RequestDeps): Handlers {
  const { conferences, sfu, chat } = deps;

  async function setPaused(session: Session, source: Source, paused: boolean): Promise<Record<string, never>> {
    const { conference, local } = placeOf(session);
    const held = local.sources.get(source);
    if (!held) throw new ProtocolFailure('not-found', 'This source is not published.');
    await sfu.request(paused ? 'producer.pause' : 'producer.resume', { producerId: held.producerId });
    held.paused = paused;
    conference.localChanged(local);
    return {};
  }

  return {
    ping: () => ({}),

    async 'conference.join'(session, { roomId, keepMedia }) {
      if (session.place && session.place.conference.roomId !== roomId) {
        await conferences.leave(session.place.conference, session.place.local, 'left');
      }
      const { snapshot, local, conference } = await conferences.join(
        roomId,
        { ...session.owner, notifier: session },
        keepMedia,
      );
      session.place = { conference, local };
      return snapshot;
    },

    async 'conference.leave'(session) {
      const { place } = session;
      session.place = undefined;
      if (place) await conferences.leave(place.conference, place.local, 'left');
      return {};
    },

    'media.open'(session) {
      const { conference, local } = placeOf(session);
      return conferences.openMedia(conference, local);
    },

    async 'media.connect'(session, params) {
      checkTransport(placeOf(session).local, params.transportId);
      await sfu.request('transport.connect', params);
      return {};
    },

    'media.restart-ice'(session, params) {
      checkTransport(placeOf(session).local, params.transportId);
      return sfu.request('transport.restartIce', params);
    },

    async 'media.publish'(session, { transportId, source, rtpParameters, paused }) {
      const { conference, local } = placeOf(session);
      if (transportId !== local.sendTransportId) throw new ProtocolFailure('not-found', 'No such transport.');
      if (!rtpParameters.codecs.every((codec) => codec.mimeType.startsWith(`${KIND_OF_SOURCE[source]}/`))) {
        throw new ProtocolFailure('bad-request', 'The codecs do not fit the source.');
      }
      const old = local.sources.get(source);
      if (old) {
        conference.removeSource(local, source);
        await sfu.request('producer.close', { producerId: old.producerId }).catch(() => undefined);
      }
      const { producerId } = await sfu.request('producer.create', { transportId, source, rtpParameters, paused });
      if (local.gone || local.sendTransportId !== transportId) {
        await sfu.request('producer.close', { producerId }).catch(() => undefined);
        throw new ProtocolFailure('conflict', 'The transport was replaced meanwhile.');
      }
      conference.addSource(local, source, producerId, paused);
      return { producerId };
    },

    'media.pause': (session, { source }) => setPaused(session, source, true),
    'media.resume': (session, { source }) => setPaused(session, source, false),

    async 'media.unpublish'(session, { source }) {
      const { conference, local } = placeOf(session);
      const held = local.sources.get(source);
      if (!held) return {};
      conference.removeSource(local, source);
      await sfu.request('producer.close', { producerId: held.producerId });
      return {};
    },

    'media.watch'(session, { rtpCapabilities, watch }) {
      const { conference, local } = placeOf(session);
      conference.watch(local, rtpCapabilities, watch);
      return {};
    },

    async 'media.ready'(session, { consumerIds }) {
      const { local } = placeOf(session);
      const own = new Set([...local.consumers.values()].map((consumer) => consumer.consumerId));
      await Promise.allSettled(
        consumerIds
          .filter((consumerId) => own.has(consumerId))
          .map((consumerId) => sfu.request('consumer.resume', { consumerId })),
      );
      return {};
    },

    async 'chat.send'(session, { roomId, transactionId, body }) {
      const event: StoredEvent = await chat.send(roomId, session.owner, transactionId, body);
      return { eventId: event.eventId, position: chatPosition(event) };
    },

    async 'chat.history'(session, { roomId, before, limit }): Promise<{ messages: ChatMessage[]; next?: string }> {
      return chat.history(roomId, session.owner.userId, before, limit ?? 50);
    },
  };
}

/** What each request of the control protocol does in the fake SFU, with the errors that the real one has. */
import { pause } from '../../../homeserver/base/clock.ts';
import { SfuError } from '../../../sfu/errors.ts';
import type { SfuMethod, SfuParams, SfuResult } from '../../../sfu/protocol.ts';
import type { FakeSfu } from './sfu.ts';
import { FAKE_CAPABILITIES, FakeConference, type FakeLink, newId } from './sfu-media.ts';

export type Handlers = { readonly [M in SfuMethod]: (params: SfuParams<M>) => Promise<SfuResult<M>> };

const PROBING_MS = 5_000;
const FINGERPRINT = Array.from({ length: 32 }, () => 'AB').join(':');
const ICE = { usernameFragment: 'fake', password: 'fake', iceLite: true };
const FIRST_PORT = 20_000;

export function fakeSfuHandlers(sfu: FakeSfu): Handlers {
  return { ...conferenceHandlers(sfu), ...transportHandlers(sfu), ...sourceHandlers(sfu), ...linkHandlers(sfu) };
}

function conferenceHandlers(sfu: FakeSfu): Pick<Handlers, 'hello' | 'stats' | `conference.${'open' | 'close'}`> {
  const { opening } = sfu;
  const open = async (conferenceId: string): Promise<void> => {
    if (sfu.conferences.has(conferenceId)) return;
    const there = opening.get(conferenceId);
    if (there) return there.done;
    const conference = new FakeConference(
      conferenceId,
      leastLoaded(sfu),
      (name, data) => sfu.tell(name, data),
      (task) => void sfu.clock.after(sfu.workerDelay(), task),
    );
    const done = sfu.work(conference).then(() => {
      sfu.conferences.set(conferenceId, conference);
    });
    const made = { conference, done };
    opening.set(conferenceId, made);
    try {
      await done;
    } finally {
      if (opening.get(conferenceId) === made) opening.delete(conferenceId);
    }
  };
  return {
    hello: () => Promise.reject(new SfuError('bad-request', 'the line says hello by itself')),
    stats: () =>
      Promise.resolve({
        workers: [],
        links: [...sfu.conferences.values()].flatMap((conference) =>
          [...conference.links.values()].map(({ id, peer, sending }) => ({
            linkId: id,
            conferenceId: conference.id,
            peer,
            bytesSent: 0,
            bytesReceived: 0,
            sending: sending.size,
            receiving: [...conference.producers.values()].filter(({ linkId }) => linkId === id).length,
          })),
        ),
      }),
    'conference.open': async ({ conferenceId }) => {
      await open(conferenceId);
      return { rtpCapabilities: FAKE_CAPABILITIES };
    },
    'conference.close': async ({ conferenceId }) => {
      opening.get(conferenceId)?.conference.end('closed');
      opening.delete(conferenceId);
      sfu.conferences.get(conferenceId)?.end('closed');
      sfu.conferences.delete(conferenceId);
      return {};
    },
  };
}

function leastLoaded({ conferences, options }: FakeSfu): number {
  const loads = Array.from({ length: options.workers }, () => 0);
  for (const { worker, producers, consumers } of conferences.values()) {
    loads[worker] = (loads[worker] ?? 0) + 1 + producers.size + consumers.size;
  }
  return loads.indexOf(Math.min(...loads));
}

type TransportMethod = `transport.${'create' | 'connect' | 'restartIce' | 'close'}` | 'participant.close';

function transportHandlers(sfu: FakeSfu): Pick<Handlers, TransportMethod> {
  return {
    'transport.create': async ({ conferenceId, participantId, direction }) => {
      const conference = sfu.conference(conferenceId);
      const opening = { participantId, closed: false };
      conference.opening.add(opening);
      try {
        await sfu.work(conference);
        if (opening.closed) throw new SfuError('not-found', 'the participant was closed');
      } finally {
        conference.opening.delete(opening);
      }
      const transport = { id: newId('transport'), participantId, direction, connected: false };
      conference.transports.set(transport.id, transport);
      return {
        id: transport.id,
        iceParameters: ICE,
        iceCandidates: [],
        dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'sha-256', value: FINGERPRINT }] },
      };
    },
    'transport.connect': async ({ transportId }) => {
      const { conference, transport } = sfu.transport(transportId);
      if (transport.connected) throw new SfuError('conflict', 'the transport was connected before');
      transport.connected = true;
      await sfu.work(conference);
      return {};
    },
    'transport.restartIce': async ({ transportId }) => {
      await sfu.work(sfu.transport(transportId).conference);
      return { iceParameters: ICE };
    },
    'transport.close': async ({ transportId }) => {
      const { conference, transport } = sfu.transport(transportId);
      conference.closeTransport(transport);
      return {};
    },
    'participant.close': async ({ conferenceId, participantId }) => {
      sfu.conferences.get(conferenceId)?.closeParticipant(participantId);
      return {};
    },
  };
}

type SourceMethod =
  | `producer.${'create' | 'pause' | 'resume' | 'close' | 'flowing'}`
  | `consumer.${'create' | 'resume' | 'replace' | 'prefer' | 'close'}`;

function sourceHandlers(sfu: FakeSfu): Pick<Handlers, SourceMethod> {
  const setPaused = async (producerId: string, paused: boolean): Promise<Record<string, never>> => {
    const conference = sfu.conferenceOf('producers', producerId);
    await sfu.work(conference);
    const producer = conference.producers.get(producerId);
    if (producer) producer.paused = paused;
    return {};
  };
  return {
    'producer.create': async ({ transportId, source, rtpParameters, paused }) => {
      const { conference, transport } = sfu.transport(transportId);
      if (transport.direction !== 'send') throw new SfuError('bad-request', 'producers need a transport to send');
      await sfu.work(conference);
      if (!conference.transports.has(transportId)) throw new SfuError('not-found', 'the transport was closed');
      const { participantId } = transport;
      return conference.produce({ transportId }, { participantId, source, rtpParameters, paused });
    },
    'producer.pause': ({ producerId }) => setPaused(producerId, true),
    'producer.resume': ({ producerId }) => setPaused(producerId, false),
    'producer.close': async ({ producerId }) => {
      sfu.conferenceOf('producers', producerId).closeProducer(producerId);
      return {};
    },
    'producer.flowing': async ({ producerId, withinMs }) => {
      sfu.conferenceOf('producers', producerId);
      const isFlowing = sfu.flows(producerId);
      await pause(sfu.clock, isFlowing ? sfu.workerDelay() : withinMs);
      return { flowing: isFlowing };
    },
    'consumer.create': async ({ transportId, producerId, rtpCapabilities, layers, priority }) => {
      const { conference, transport } = sfu.transport(transportId);
      if (transport.direction !== 'receive') throw new SfuError('bad-request', 'consumers need a transport to receive');
      const producer = conference.producers.get(producerId);
      if (!producer) throw new SfuError('not-found', 'no such producer in the conference');
      const { kind, rtpParameters } = producer;
      const mimeType = rtpParameters.codecs[0]?.mimeType.toLowerCase();
      if (!rtpCapabilities.codecs?.some((codec) => codec.mimeType.toLowerCase() === mimeType)) {
        throw new SfuError('unsupported', 'the client can not receive the codec of this source');
      }
      await sfu.work(conference);
      if (!conference.transports.has(transportId)) throw new SfuError('not-found', 'the transport was closed');
      if (!conference.producers.has(producerId)) throw new SfuError('not-found', 'the producer was closed');
      const consumerId = newId('consumer');
      const preferred = kind === 'video' ? layers : undefined;
      conference.consumers.set(consumerId, {
        consumerId,
        producerId,
        transportId,
        paused: true,
        layers: preferred,
        priority,
      });
      return { consumerId, kind, rtpParameters, producerPaused: producer.paused };
    },
    'consumer.resume': async ({ consumerId }) => {
      const conference = sfu.conferenceOf('consumers', consumerId);
      await sfu.work(conference);
      const consumer = conference.consumers.get(consumerId);
      if (consumer) consumer.paused = false;
      return {};
    },
    'consumer.replace': async ({ consumerId, oldConsumerId }) => {
      const conference = sfu.conferenceOf('consumers', consumerId);
      const consumer = conference.consumers.get(consumerId);
      const producer = consumer && conference.producers.get(consumer.producerId);
      // Sound is never sent twice; of a picture the old one goes on until the new one is there.
      if (producer?.kind === 'audio') conference.consumers.delete(oldConsumerId);
      await sfu.work(conference);
      if (consumer) consumer.paused = false;
      conference.consumers.delete(oldConsumerId);
      return {};
    },
    'consumer.prefer': async ({ consumerId, layers, priority }) => {
      const conference = sfu.conferenceOf('consumers', consumerId);
      await sfu.work(conference);
      const consumer = conference.consumers.get(consumerId);
      if (consumer && layers) consumer.layers = layers;
      if (consumer && priority !== undefined) consumer.priority = priority;
      return {};
    },
    'consumer.close': async ({ consumerId }) => {
      sfu.conferenceOf('consumers', consumerId).consumers.delete(consumerId);
      return {};
    },
  };
}

type LinkMethod = `link.${'create' | 'connect' | 'send' | 'unsend' | 'receive' | 'close'}`;

function linkHandlers(sfu: FakeSfu): Pick<Handlers, LinkMethod> {
  /** Links being made: an id counts as taken from the first request on. */
  const opening = new Map<string, { closed: boolean }>();
  const freePort = (): number => {
    const taken = new Set(
      [...sfu.conferences.values()].flatMap(({ links }) => [...links.values()].map(({ port }) => port)),
    );
    for (let port = FIRST_PORT; port < FIRST_PORT + sfu.options.linkPorts; port += 1) if (!taken.has(port)) return port;
    throw new SfuError('exhausted', 'no more available ports');
  };
  const isThere = (linkId: string): boolean => [...sfu.conferences.values()].some(({ links }) => links.has(linkId));
  return {
    'link.create': async ({ conferenceId, linkId, peer }) => {
      const conference = sfu.conference(conferenceId);
      if (opening.has(linkId) || isThere(linkId)) throw new SfuError('conflict', 'a link with this id exists');
      const state = { closed: false };
      opening.set(linkId, state);
      try {
        await sfu.work(conference);
        if (state.closed) throw new SfuError('not-found', 'the link was closed');
      } finally {
        opening.delete(linkId);
      }
      const port = freePort();
      const link: FakeLink = {
        id: linkId,
        peer,
        port,
        connecting: false,
        connected: false,
        consent: true,
        sending: new Set(),
      };
      conference.links.set(linkId, link);
      return {
        port,
        srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: `${'A'.repeat(59)}=` },
        probeKey: Buffer.alloc(32, 1).toString('base64'),
      };
    },
    'link.connect': async (params) => {
      const { conference, link } = sfu.link(params.linkId);
      if (link.connecting || link.connected) throw new SfuError('conflict', 'the link was connected before');
      if (Buffer.from(params.probeKey, 'base64').length !== 32) {
        throw new SfuError('bad-request', 'the probe key has the wrong size');
      }
      link.connecting = true;
      const isOpen = (): boolean => conference.links.get(link.id) === link;
      const tell = (state: 'connecting' | 'connected'): void =>
        sfu.tell('link.state', { linkId: link.id, conferenceId: conference.id, peer: link.peer, state });
      try {
        tell('connecting');
        const proven = await sfu.proves(link.id, params);
        if (!proven) {
          // A link that is closed does not wait to the end.
          for (let ms = 0; ms < PROBING_MS && isOpen(); ms += 100) {
            await pause(sfu.clock, 100);
          }
        } else await sfu.work();
        conference.check();
        if (!isOpen()) throw new SfuError('not-found', 'the link was closed');
        if (!proven) throw new SfuError('not-found', 'the address of the peer does not answer our probes');
        link.connected = true;
        tell('connected');
        return {};
      } finally {
        link.connecting = false;
      }
    },
    'link.send': async ({ linkId, producerId }) => {
      const { conference, link } = sfu.link(linkId);
      const producer = conference.producers.get(producerId);
      if (!producer) throw new SfuError('not-found', 'no such producer in the conference');
      if (producer.linkId !== undefined) throw new SfuError('bad-request', 'what comes over a link is not sent on');
      if (!link.consent) throw new SfuError('conflict', 'the peer does not answer');
      link.sending.add(producerId);
      await sfu.work(conference);
      if (!conference.producers.has(producerId)) throw new SfuError('not-found', 'the producer was closed');
      const { kind, rtpParameters, paused } = producer;
      return { kind, rtpParameters, paused };
    },
    'link.unsend': async ({ linkId, producerId }) => {
      sfu.link(linkId).link.sending.delete(producerId);
      return {};
    },
    'link.receive': async ({ linkId, participantId, source, remoteId, rtpParameters, paused }) => {
      const { conference, link } = sfu.link(linkId);
      await sfu.work(conference);
      if (conference.links.get(linkId) !== link) throw new SfuError('not-found', 'the transport was closed');
      return conference.produce({ linkId, remoteId }, { participantId, source, rtpParameters, paused });
    },
    'link.close': async ({ linkId }) => {
      const state = opening.get(linkId);
      if (state) state.closed = true;
      else {
        const { conference, link } = sfu.link(linkId);
        conference.closeLink(link);
      }
      return {};
    },
  };
}

/** The handlers of all requests of the control protocol. */
import { z } from 'zod';
import { consume, prefer, replace } from './consumers.ts';
import { SfuError } from './errors.ts';
import { Link } from './link.ts';
import { flowing } from './producers.ts';
import { SFU_PROTOCOL_VERSION, sfuRequests, type SfuMethod, type SfuParams, type SfuResult } from './protocol.ts';
import type { Sfu } from './sfu.ts';
import { ClientTransport } from './transports.ts';

type Handlers = { readonly [M in SfuMethod]: (params: SfuParams<M>) => Promise<SfuResult<M>> };

const methods = Object.keys(sfuRequests);
function isMethod(text: string): text is SfuMethod {
  return methods.includes(text);
}

/** The method of a request and its unparsed parameters. */
export const requestSchema = z.object({
  id: z.number().int().nonnegative(),
  method: z.string().max(64),
  params: z.unknown().optional(),
});

/**
 * Parses the parameters of a request and handles it.
 *
 * @returns the result of this method in the protocol
 * @throws SfuError, ZodError for parameters that do not fit, or an error of mediasoup (see failure.ts)
 */
export async function handleRequest(handlers: Handlers, method: string, params: unknown): Promise<unknown> {
  if (!isMethod(method)) throw new SfuError('bad-request', 'no such method');
  return call(handlers, method, params);
}

async function call<M extends SfuMethod>(handlers: Handlers, method: M, params: unknown): Promise<SfuResult<M>> {
  // The parser of a method returns that method's parameters, which TypeScript cannot follow through the table.
  const parsed = sfuRequests[method].params.parse(params ?? {}) as SfuParams<M>;
  return handlers[method](parsed);
}

export function requestHandlers(sfu: Sfu): Handlers {
  return {
    hello: async ({ version }) => {
      if (version !== SFU_PROTOCOL_VERSION) {
        throw new SfuError('unsupported', `the SFU speaks version ${SFU_PROTOCOL_VERSION} of the control protocol`);
      }
      return sfu.hello;
    },
    'conference.open': async ({ conferenceId }) => {
      const { rtpCapabilities } = await sfu.open(conferenceId);
      return { rtpCapabilities };
    },
    'conference.close': async ({ conferenceId }) => {
      sfu.closeConference(conferenceId);
      return {};
    },
    'transport.create': async (params) => {
      const transport = await ClientTransport.open(sfu.conference(params.conferenceId), params);
      return transport.options;
    },
    'transport.connect': async ({ transportId, dtlsParameters }) => {
      await sfu.transport(transportId).transport.connect(dtlsParameters);
      return {};
    },
    'transport.restartIce': async ({ transportId }) => ({
      iceParameters: await sfu.transport(transportId).transport.transport.restartIce(),
    }),
    'transport.close': async ({ transportId }) => {
      sfu.transport(transportId).transport.close();
      return {};
    },
    'participant.close': async ({ conferenceId, participantId }) => {
      sfu.closeParticipant(conferenceId, participantId);
      return {};
    },
    'producer.create': async (params) => sfu.transport(params.transportId).transport.produce(params),
    'producer.pause': async ({ producerId }) => {
      await sfu.conferenceOfProducer(producerId).producer(producerId).producer.pause();
      return {};
    },
    'producer.resume': async ({ producerId }) => {
      await sfu.conferenceOfProducer(producerId).producer(producerId).producer.resume();
      return {};
    },
    'producer.close': async ({ producerId }) => {
      sfu.conferenceOfProducer(producerId).closeProducer(producerId);
      return {};
    },
    'producer.flowing': async ({ producerId, withinMs }) => ({
      flowing: await flowing(sfu.conferenceOfProducer(producerId).producer(producerId).producer, withinMs),
    }),
    'consumer.create': async (params) => {
      const { conference, transport } = sfu.transport(params.transportId);
      return consume(conference, transport, params);
    },
    'consumer.resume': async ({ consumerId }) => {
      await sfu.consumer(consumerId).consumer.resume();
      return {};
    },
    'consumer.replace': async ({ consumerId, oldConsumerId }) => {
      const { conference, consumer } = sfu.consumer(consumerId);
      await replace(conference, consumer, oldConsumerId);
      return {};
    },
    'consumer.prefer': async ({ consumerId, ...wish }) => {
      await prefer(sfu.consumer(consumerId), wish);
      return {};
    },
    'consumer.close': async ({ consumerId }) => {
      sfu.consumer(consumerId).conference.closeConsumer(consumerId);
      return {};
    },
    'link.create': async (params) => {
      const link = await sfu.openLink(params.conferenceId, params.linkId, (conference) =>
        Link.open(conference, params),
      );
      return link.half;
    },
    'link.connect': async (params) => {
      await sfu.link(params.linkId).connect(params);
      return {};
    },
    'link.send': async ({ linkId, producerId }) => sfu.link(linkId).send(producerId),
    'link.unsend': async ({ linkId, producerId }) => {
      await sfu.link(linkId).unsend(producerId);
      return {};
    },
    'link.receive': async (params) => sfu.link(params.linkId).receive(params),
    'link.close': async ({ linkId }) => {
      sfu.closeLink(linkId);
      return {};
    },
    stats: async () => sfu.stats(),
  };
}

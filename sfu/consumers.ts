/** What clients receive: created paused, with the layers and the priority that the homeserver chose. */
import type { Consumer } from 'mediasoup/types';
import { capabilitiesToMediasoup, fromMediasoup } from './codecs.ts';
import { SfuError } from './errors.ts';
import type { ConferenceHost } from './host.ts';
import type { SfuParams, SfuResult } from './protocol.ts';
import type { ClientTransport } from './transports.ts';

/**
 * A worker raises a consumer to the temporal layers that it has measured already, and looks again only a second later: until
 * then the picture would move five times a second. So a new source flows this long before it is shown, in milliseconds.
 */
const LAYERS_MEASURED_MS = 400;
/** A picture that takes the place of another one has this long for its first key frame, in milliseconds. */
const KEY_FRAME_WITHIN_MS = 3_000;
/** And this long to fill the client's jitter buffer and be decoded, in milliseconds: until then the old one goes on. */
const DECODED_WITHIN_MS = 800;

export interface HeldConsumer {
  readonly consumer: Consumer;
  readonly transportId: string;
}

/** A conference, as its consumers see it. */
export interface ConsumerHost extends ConferenceHost {
  readonly consumers: Map<string, HeldConsumer>;
  /** Does nothing when there is none of this id. */
  closeConsumer(consumerId: string): void;
}

/** @throws SfuError bad-request on a transport to send, not-found, unsupported if the client knows no such codec */
export async function consume(
  conference: ConsumerHost,
  client: ClientTransport,
  params: SfuParams<'consumer.create'>,
): Promise<SfuResult<'consumer.create'>> {
  const { producerId, layers, priority } = params;
  if (client.direction !== 'receive') throw new SfuError('bad-request', 'consumers need a transport to receive');
  const { producer } = conference.producer(producerId);
  const rtpCapabilities = capabilitiesToMediasoup(params.rtpCapabilities);
  if (!conference.router.canConsume({ producerId, rtpCapabilities })) {
    throw new SfuError('unsupported', 'the client can not receive the codec of this source');
  }
  const consumer = await client.transport.consume({
    producerId,
    rtpCapabilities,
    paused: true,
    preferredLayers: producer.kind === 'video' ? layers : undefined,
  });
  // mediasoup tells a consumer of the end of its transport only if it was there before that.
  if (client.transport.closed || conference.ended) {
    consumer.close();
    throw new SfuError('not-found', 'the transport was closed');
  }
  hold(conference, consumer, client.id);
  if (priority !== undefined) await consumer.setPriority(priority);
  return {
    consumerId: consumer.id,
    kind: consumer.kind,
    rtpParameters: fromMediasoup(consumer.rtpParameters),
    producerPaused: consumer.producerPaused,
  };
}

export async function prefer(
  { consumer }: HeldConsumer,
  wish: Omit<SfuParams<'consumer.prefer'>, 'consumerId'>,
): Promise<void> {
  if (wish.layers && consumer.kind === 'video') await consumer.setPreferredLayers(wish.layers);
  if (wish.priority !== undefined) await consumer.setPriority(wish.priority);
}

/**
 * Resumes a consumer and closes the one in whose place it comes: sound is never sent over both; of a picture the old one
 * goes on until the new one has sent a key frame and the client has had the time to show it.
 *
 * @throws SfuError bad-request if it is told to replace itself
 */
export async function replace(conference: ConsumerHost, consumer: Consumer, oldConsumerId: string): Promise<void> {
  if (consumer.id === oldConsumerId) throw new SfuError('bad-request', 'a consumer cannot replace itself');
  const isPicture = (): boolean => consumer.kind === 'video' && !consumer.producerPaused && !consumer.closed;
  if (isPicture()) await firstOf(consumer, LAYERS_MEASURED_MS);
  if (!isPicture()) {
    conference.closeConsumer(oldConsumerId);
    if (!consumer.closed) await consumer.resume();
    return;
  }
  await consumer.enableTraceEvent(['keyframe']);
  const begun = firstOf(consumer, KEY_FRAME_WITHIN_MS);
  await consumer.resume();
  await begun;
  if (!consumer.closed) await consumer.enableTraceEvent([]).catch(() => undefined);
  if (!consumer.closed && !consumer.producerPaused) await firstOf(consumer, DECODED_WITHIN_MS);
  conference.closeConsumer(oldConsumerId);
}

/** Settles with the first key frame of a consumer that traces them, its end, or the end of the time. */
function firstOf(consumer: Consumer, withinMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      consumer.off('trace', done);
      consumer.off('producerpause', done);
      consumer.observer.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, withinMs);
    consumer.on('trace', done);
    consumer.on('producerpause', done);
    consumer.observer.on('close', done);
  });
}

function hold(conference: ConsumerHost, consumer: Consumer, transportId: string): void {
  const { consumers, context } = conference;
  const consumerId = consumer.id;
  consumers.set(consumerId, { consumer, transportId });
  consumer.on('producerclose', () => {
    consumers.delete(consumerId);
    if (!conference.ended) context.notify('consumer.closed', { consumerId, transportId });
  });
  // Whoever closed the transport knows of the end of all in it.
  consumer.on('transportclose', () => consumers.delete(consumerId));
  consumer.on('layerschange', (layers) => {
    context.notify('consumer.layers', { consumerId, transportId, layers: layers ?? null });
  });
}

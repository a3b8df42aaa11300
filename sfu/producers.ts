/** Creates producers with local ids, for participants and links. */
import { randomUUID } from 'node:crypto';
import type { Producer, Transport } from 'mediasoup/types';
import { KIND_OF_SOURCE, type RtpParameters } from '../protocol/media.ts';
import { toMediasoup } from './codecs.ts';
import { SfuError } from './errors.ts';
import type { ProducerHost, ProducerLabels } from './host.ts';

/**
 * The shortest interval between key frame requests, in ms: many viewers who join at once cost the sender one key frame,
 * and the last of them waits this long at most. Chromium ignores a request within 300 ms after another one, and
 * mediasoup then repeats it only after a second: so not less than that, with some margin.
 */
const KEY_FRAME_REQUEST_DELAY_MS = 350;
/**
 * The same for producers received over a link: the sender's SFU already protects the sender, this one only spares the
 * link.
 */
const LINK_KEY_FRAME_REQUEST_DELAY_MS = 50;

export interface ProducerOptions {
  readonly transport: Transport;
  readonly labels: ProducerLabels;
  readonly rtpParameters: RtpParameters;
  readonly paused: boolean;
}

/**
 * Ids are never chosen by a peer or client, so that nobody can collide with, or guess, another's.
 *
 * @throws SfuError bad-request if the codec is not of the source's kind
 */
export async function produce(conference: ProducerHost, options: ProducerOptions): Promise<Producer> {
  const { transport, labels, rtpParameters, paused } = options;
  const kind = KIND_OF_SOURCE[labels.source];
  if (rtpParameters.codecs.some(({ mimeType }) => !mimeType.startsWith(`${kind}/`))) {
    throw new SfuError('bad-request', `the source ${labels.source} needs codecs of the kind ${kind}`);
  }
  const producer = await transport.produce({
    id: randomUUID(),
    kind,
    rtpParameters: toMediasoup(rtpParameters),
    paused,
    keyFrameRequestDelay: labels.linkId === undefined ? KEY_FRAME_REQUEST_DELAY_MS : LINK_KEY_FRAME_REQUEST_DELAY_MS,
  });
  try {
    // mediasoup notifies a producer of the closing of its transport only if it existed before.
    if (transport.closed) throw new SfuError('not-found', 'the transport was closed');
    await conference.hold(producer, labels);
    if (producer.closed) throw new SfuError('not-found', 'the transport was closed');
  } catch (error) {
    producer.close();
    conference.closeProducer(producer.id);
    throw error;
  }
  return producer;
}

/** Whether a producer has received media. Waits for the first packet, upon which mediasoup reports the first score. */
export async function flowing(producer: Producer, withinMs: number): Promise<boolean> {
  const flows = (): boolean => producer.score.some(({ score }) => score > 0);
  if (flows() || producer.closed) return flows();
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (flows() || producer.closed) done();
    };
    const done = (): void => {
      clearTimeout(timer);
      producer.off('score', look);
      producer.observer.off('close', done);
      resolve();
    };
    const timer = setTimeout(done, withinMs);
    producer.on('score', look);
    producer.observer.on('close', done);
  });
  return flows();
}

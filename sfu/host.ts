/**
 * The ports through which the parts of a conference (transports, producers, consumers, links) use it, and the context
 * of all conferences.
 */
import type { Producer, Router } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import type { Prober } from './prober.ts';
import type { ProducerState, SfuNotificationData, SfuNotificationName } from './protocol.ts';

export type Notify = <N extends SfuNotificationName>(name: N, data: SfuNotificationData<N>) => void;

/** Shared by all conferences of an SFU. */
export interface SfuContext {
  readonly config: SfuConfig;
  readonly prober: Prober;
  readonly notify: Notify;
  readonly log: Logger;
}

export type ProducerLabels = Pick<ProducerState, 'participantId' | 'source' | 'transportId' | 'linkId' | 'remoteId'>;
export type HeldProducer = ProducerLabels & { readonly producer: Producer };

/** What owns producers. */
export interface ProducerHost {
  /** Adds a producer to the conference. */
  hold(producer: Producer, labels: ProducerLabels): Promise<void>;
  closeProducer(producerId: string): void;
}

/** A conference, as seen by its parts. Each part extends it with what it needs. */
export interface ConferenceHost extends ProducerHost {
  readonly id: string;
  readonly router: Router;
  readonly context: SfuContext;
  /** True once closed, or lost with its worker. No notifications are sent any more. */
  readonly ended: boolean;
  /** @throws SfuError not-found */
  producer(producerId: string): HeldProducer;
}

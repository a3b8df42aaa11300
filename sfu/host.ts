/** What the parts of a conference (transports, producers, consumers, links) see of it, and what all of an SFU share. */
import type { Producer, Router } from 'mediasoup/types';
import type { Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import type { Prober } from './prober.ts';
import type { ProducerState, SfuNotificationData, SfuNotificationName } from './protocol.ts';

export type Notify = <N extends SfuNotificationName>(name: N, data: SfuNotificationData<N>) => void;

/** What all conferences of an SFU share. */
export interface SfuContext {
  readonly config: SfuConfig;
  readonly prober: Prober;
  readonly notify: Notify;
  readonly log: Logger;
}

export type ProducerLabels = Pick<ProducerState, 'participantId' | 'source' | 'transportId' | 'linkId' | 'remoteId'>;
export type HeldProducer = ProducerLabels & { readonly producer: Producer };

/** Where producers go. */
export interface ProducerHost {
  /** Takes a producer into the conference. */
  hold(producer: Producer, labels: ProducerLabels): Promise<void>;
  closeProducer(producerId: string): void;
}

/** A conference, as what is in it sees it. Each part adds what it needs beyond that. */
export interface ConferenceHost extends ProducerHost {
  readonly id: string;
  readonly router: Router;
  readonly context: SfuContext;
  /** True once closed, or lost with its worker. Nothing is told about its parts any more. */
  readonly ended: boolean;
  /** @throws SfuError not-found */
  producer(producerId: string): HeldProducer;
}

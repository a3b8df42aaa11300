/** What our participants receive: consumers on the SFU are made and removed until they match what is wanted. */
import type { Logger } from 'pino';
import type { RtpCapabilities } from '../../../protocol/media.ts';
import type { Watch } from '../../../protocol/session.ts';
import { type LocalParticipant, type SourceKey, spatialLayerFor } from './local-participant.ts';
import type { SfuPort } from './ports.ts';
import { unexpected } from '../../base/log.ts';

export interface ConsumersDeps {
  readonly sfu: SfuPort;
  readonly log: Logger;
  /** The producer of a source on our SFU, if it has one. */
  producer(key: SourceKey): string | undefined;
}

export class Consumers {
  readonly #deps: ConsumersDeps;

  constructor(deps: ConsumersDeps) {
    this.#deps = deps;
  }

  /** Makes consumers match what is wanted and what exists. One round at a time for each participant. */
  reconcile(local: LocalParticipant): void {
    local.dirty = true;
    if (local.reconciling) return;
    local.reconciling = true;
    this.#rounds(local).catch(unexpected(this.#deps.log, 'consumers were not brought up to date'));
  }

  /** Never rejects. */
  async #rounds(local: LocalParticipant): Promise<void> {
    while (local.dirty && !local.gone) {
      local.dirty = false;
      try {
        await this.#round(local);
      } catch (error) {
        this.#deps.log.warn(
          { err: error, participantId: local.participantId },
          'consumers could not be brought up to date',
        );
      }
    }
    local.reconciling = false;
  }

  async #round(local: LocalParticipant): Promise<void> {
    if (!local.declared) return;
    const { sfu, log, producer } = this.#deps;
    const closing: Promise<unknown>[] = [];
    for (const [key, consumer] of local.consumers) {
      if (local.wants.has(key) && producer(key) === consumer.producerId) continue;
      local.consumers.delete(key);
      local.notifier?.notify('consumer.removed', { consumerId: consumer.consumerId });
      closing.push(sfu.request('consumer.close', { consumerId: consumer.consumerId }));
    }
    const { receiveTransportId, rtpCapabilities } = local;
    const opening = [...local.wants].map(async ([key, want]) => {
      const producerId = producer(key);
      if (!producerId || !receiveTransportId || !rtpCapabilities) return;
      await this.#consume(local, key, want, producerId, receiveTransportId, rtpCapabilities);
    });
    for (const result of await Promise.allSettled([...closing, ...opening])) {
      if (result.status === 'rejected') log.debug({ err: result.reason }, 'a consumer was not changed');
    }
  }

  async #consume(
    local: LocalParticipant,
    key: SourceKey,
    want: Watch,
    producerId: string,
    transportId: string,
    rtpCapabilities: RtpCapabilities,
  ): Promise<void> {
    const { sfu } = this.#deps;
    const spatialLayer = spatialLayerFor(want.height);
    const layers = spatialLayer === undefined ? undefined : { spatialLayer };
    const existing = local.consumers.get(key);
    if (existing) {
      if (existing.spatialLayer === spatialLayer && existing.priority === want.priority) return;
      existing.spatialLayer = spatialLayer;
      existing.priority = want.priority;
      await sfu.request('consumer.prefer', { consumerId: existing.consumerId, layers, priority: want.priority });
      return;
    }
    const made = await sfu.request('consumer.create', {
      transportId,
      producerId,
      rtpCapabilities,
      layers,
      priority: want.priority,
    });
    // Its transport has ended, and it with it.
    if (local.gone || local.receiveTransportId !== transportId) return;
    local.consumers.set(key, { consumerId: made.consumerId, producerId, spatialLayer, priority: want.priority });
    local.notifier?.notify('consumer.added', {
      consumerId: made.consumerId,
      kind: made.kind,
      rtpParameters: made.rtpParameters,
      producerPaused: made.producerPaused,
      participantId: want.participantId,
      source: want.source,
      producerId,
    });
  }

  /** The SFU has closed a consumer by itself. */
  closed(local: LocalParticipant, consumerId: string): void {
    for (const [key, consumer] of local.consumers) {
      if (consumer.consumerId !== consumerId) continue;
      local.consumers.delete(key);
      local.notifier?.notify('consumer.removed', { consumerId });
      this.reconcile(local);
    }
  }
}

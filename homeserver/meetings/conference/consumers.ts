/** What our participants receive: consumers on the SFU are made and removed until they match what is wanted. */
import type { Logger } from 'pino';
import type { Watch } from '../../../protocol/session.ts';
import {
  type LocalConsumer,
  type LocalMedia,
  type LocalParticipant,
  type SourceKey,
  spatialLayerFor,
} from './local-participant.ts';
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
  /** Those that the client is ready for: the SFU is asked once for each, however often the client says so. */
  readonly #flowing = new WeakSet<LocalConsumer>();
  /** Waits for somebody who changes over to another producer of a source. */
  readonly #changing = new Set<{ isOver: () => boolean; resolve: () => void }>();

  constructor(deps: ConsumersDeps) {
    this.#deps = deps;
  }

  /** Makes consumers match what is wanted and what exists. One round at a time for each participant. */
  reconcile(local: LocalParticipant): void {
    local.receiving
      .run(() => this.#round(local))
      .then(() => this.#tellChanged())
      .catch(unexpected(this.#deps.log, 'consumers were not brought up to date'));
  }

  async #round(local: LocalParticipant): Promise<void> {
    const { media } = local;
    if (!local.isSeated || !media.rtpCapabilities) return;
    const { log, producer } = this.#deps;
    const closing: Promise<unknown>[] = [];
    for (const [key, consumer] of media.consumers) {
      // One that has another producer by now is replaced, not removed: what it brings goes on until then.
      if (local.wants.has(key) && producer(key) !== undefined) continue;
      media.consumers.delete(key);
      for (const consumerId of idsOf(consumer)) closing.push(this.#remove(local, consumerId));
    }
    const opening = [...local.wants].map(async ([key, want]) => {
      const producerId = producer(key);
      if (producerId) await this.#consume(local, media, key, want, producerId);
    });
    for (const result of await Promise.allSettled([...closing, ...opening])) {
      if (result.status === 'rejected') log.debug({ err: result.reason }, 'a consumer was not changed');
    }
  }

  async #consume(
    local: LocalParticipant,
    media: LocalMedia,
    key: SourceKey,
    want: Watch,
    producerId: string,
  ): Promise<void> {
    const { receive: transportId, rtpCapabilities, consumers } = media;
    if (!transportId || !rtpCapabilities) return;
    const { sfu } = this.#deps;
    const spatialLayer = spatialLayerFor(want.height);
    const layers = spatialLayer === undefined ? undefined : { spatialLayer };
    const existing = consumers.get(key);
    if (existing?.producerId === producerId) {
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
    if (!local.isSeated || local.media !== media) return;
    const before = consumers.get(key);
    consumers.set(key, {
      consumerId: made.consumerId,
      producerId,
      replaces: before?.replaces ?? before?.consumerId,
      spatialLayer,
      priority: want.priority,
    });
    if (before?.replaces !== undefined) await this.#remove(local, before.consumerId);
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

  /** The client has made its side of consumers: what they bring begins to flow. Never rejects. */
  async ready(local: LocalParticipant, consumerIds: readonly string[]): Promise<void> {
    const { sfu, log } = this.#deps;
    const ready = [...local.consumers.values()].filter(
      (consumer) => consumerIds.includes(consumer.consumerId) && !this.#flowing.has(consumer),
    );
    const begun = ready.map(async (consumer) => {
      const { consumerId, replaces } = consumer;
      this.#flowing.add(consumer);
      if (replaces === undefined) {
        await sfu.request('consumer.resume', { consumerId }).catch(() => this.#flowing.delete(consumer));
      } else this.#takeOver(local, consumer, replaces).catch(unexpected(log, 'a consumer was not replaced'));
    });
    await Promise.all(begun);
  }

  /**
   * A client that comes back has these on its side and is ready for them. What only one side has ends, but for what is to
   * be replaced by one that the client never got: that goes on until there is another one.
   */
  keep(local: LocalParticipant, consumerIds: readonly string[]): void {
    const have = new Set(consumerIds);
    const known = new Set<string>();
    for (const [key, consumer] of [...local.consumers]) {
      const { consumerId, replaces } = consumer;
      if (!have.has(consumerId)) {
        local.media.consumers.delete(key);
        this.#close(consumerId);
        if (replaces === undefined) continue;
        if (!have.has(replaces)) {
          this.#close(replaces);
          continue;
        }
        const kept = { ...consumer, consumerId: replaces, producerId: undefined, replaces: undefined };
        local.media.consumers.set(key, kept);
        this.#flowing.add(kept);
      }
      for (const id of idsOf(consumer)) known.add(id);
    }
    for (const consumerId of have) {
      if (!known.has(consumerId)) local.notifier?.notify('consumer.removed', { consumerId });
    }
    this.ready(local, consumerIds).catch(unexpected(this.#deps.log, 'consumers did not begin to flow'));
    this.reconcile(local);
  }

  /** Takes as long as the first picture does: nobody else of the client's requests waits for it. Never rejects. */
  async #takeOver(local: LocalParticipant, consumer: LocalConsumer, oldConsumerId: string): Promise<void> {
    const { sfu, log } = this.#deps;
    const { consumerId } = consumer;
    try {
      await sfu.request('consumer.replace', { consumerId, oldConsumerId });
    } catch (error) {
      this.#flowing.delete(consumer);
      log.debug({ err: error }, 'a consumer was not replaced');
      // The client is told that it has ended.
      await sfu.request('consumer.close', { consumerId: oldConsumerId }).catch(() => undefined);
    }
    // A third one may have taken the place of this one: it has nothing to replace any more either. Of one that is not
    // wanted any more, the end was told.
    for (const current of local.consumers.values()) {
      if (current.replaces !== oldConsumerId) continue;
      current.replaces = undefined;
      if (local.isSeated) local.notifier?.notify('consumer.removed', { consumerId: oldConsumerId });
    }
    this.#tellChanged();
  }

  /** Resolves when a participant who receives a source does so from its producer of now, and from no other one. */
  changedOver(local: LocalParticipant, key: SourceKey): Promise<void> {
    const isOver = (): boolean => {
      const consumer = local.isSeated ? local.consumers.get(key) : undefined;
      return !consumer || (consumer.replaces === undefined && consumer.producerId === this.#deps.producer(key));
    };
    return new Promise((resolve) => {
      this.#changing.add({ isOver, resolve });
      this.#tellChanged();
    });
  }

  #tellChanged(): void {
    for (const wait of this.#changing) {
      if (!wait.isOver()) continue;
      this.#changing.delete(wait);
      wait.resolve();
    }
  }

  #remove(local: LocalParticipant, consumerId: string): Promise<unknown> {
    local.notifier?.notify('consumer.removed', { consumerId });
    return this.#deps.sfu.request('consumer.close', { consumerId });
  }

  #close(consumerId: string): void {
    this.#deps.sfu.request('consumer.close', { consumerId }).catch((error: unknown) => {
      this.#deps.log.debug({ err: error }, 'a consumer was not closed');
    });
  }

  /** The SFU has closed a consumer by itself. */
  closed(local: LocalParticipant, consumerId: string): void {
    for (const [key, consumer] of local.consumers) {
      if (!idsOf(consumer).includes(consumerId)) continue;
      local.notifier?.notify('consumer.removed', { consumerId });
      if (consumer.replaces === consumerId) {
        consumer.replaces = undefined;
        this.#tellChanged();
        continue;
      }
      local.media.consumers.delete(key);
      const { replaces } = consumer;
      if (replaces !== undefined) {
        local.notifier?.notify('consumer.removed', { consumerId: replaces });
        this.#close(replaces);
      }
      this.reconcile(local);
    }
  }
}

/** Its own id, and that of the one that it is to replace. */
function idsOf({ consumerId, replaces }: LocalConsumer): string[] {
  return replaces === undefined ? [consumerId] : [consumerId, replaces];
}

/**
 * What our participants watch and hear in one conference: who wants which source, the producer that each source has on
 * our SFU, and the consumers that bring it.
 */
import type { Logger } from 'pino';
import type { RtpCapabilities } from '../../../protocol/media.ts';
import type { Watch } from '../../../protocol/session.ts';
import { Consumers } from './consumers.ts';
import type { Link } from './link.ts';
import { type LocalParticipant, parseSourceKey, type SourceKey, sourceKey } from './local-participant.ts';
import { splitParticipantId } from './membership.ts';
import type { SfuPort } from './ports.ts';

export interface ReceptionDeps {
  readonly sfu: SfuPort;
  readonly log: Logger;
  /** Our participants whom the others see. */
  locals(): Iterable<LocalParticipant>;
  /** The link to an organisation, if there is one. */
  link(server: string): Pick<Link, 'want' | 'unwant'> | undefined;
}

export class Reception {
  readonly #deps: ReceptionDeps;
  /** Every source that our SFU has, local or received: its producer there. */
  readonly #producers = new Map<SourceKey, string>();
  readonly #consumers: Consumers;

  constructor(deps: ReceptionDeps) {
    this.#deps = deps;
    const { sfu, log } = deps;
    this.#consumers = new Consumers({ sfu, log, producer: (key) => this.#producers.get(key) });
  }

  /** Our SFU has a source, or has it no more. Consumers follow with `reconcile`. */
  setProducer(key: SourceKey, producerId: string | undefined): void {
    if (producerId === undefined) this.#producers.delete(key);
    else this.#producers.set(key, producerId);
  }

  /** Our SFU has lost the media of the conference. */
  lost(): void {
    this.#producers.clear();
  }

  /**
   * A link has (or no longer has) a source of another organisation.
   * @returns a promise that resolves when whoever receives it does so from this producer
   */
  async received(key: SourceKey, producerId: string | undefined): Promise<void> {
    this.setProducer(key, producerId);
    const watching = [...this.#deps.locals()].filter(({ wants }) => wants.has(key));
    for (const local of watching) this.#consumers.reconcile(local);
    await Promise.all(watching.map((local) => this.#consumers.changedOver(local, key)));
  }

  /** Declares all that a participant wants to see and hear. */
  watch(local: LocalParticipant, rtpCapabilities: RtpCapabilities, watch: readonly Watch[]): void {
    local.media.rtpCapabilities = rtpCapabilities;
    this.#want(local, watch);
    this.#consumers.reconcile(local);
  }

  /** Somebody has left, and wants nothing any more. */
  left(local: LocalParticipant): void {
    this.#want(local, []);
  }

  /** The sources of an organisation that our participants want, each once for everybody who does. */
  *wantedOf(server: string): Iterable<SourceKey> {
    for (const { wants } of this.#deps.locals()) {
      for (const key of wants.keys()) if (serverOfSource(key) === server) yield key;
    }
  }

  /**
   * The link that a wish concerns is found by the name of the source, not by who is here now: it must be told of each wish
   * and of its end, also when the participant has left in between.
   */
  #want(local: LocalParticipant, watch: readonly Watch[]): void {
    const { link } = this.#deps;
    const next = new Map<SourceKey, Watch>();
    for (const want of watch) {
      if (want.participantId !== local.participantId) next.set(sourceKey(want.participantId, want.source), want);
    }
    for (const key of local.wants.keys()) if (!next.has(key)) link(serverOfSource(key))?.unwant(key);
    for (const key of next.keys()) if (!local.wants.has(key)) link(serverOfSource(key))?.want(key);
    local.wants.clear();
    for (const [key, want] of next) local.wants.set(key, want);
  }

  /** Makes the consumers of everybody match what is wanted and what exists. */
  reconcile(): void {
    for (const local of this.#deps.locals()) this.#consumers.reconcile(local);
  }

  /** A client has made its side of consumers. */
  ready(local: LocalParticipant, consumerIds: readonly string[]): Promise<void> {
    return this.#consumers.ready(local, consumerIds);
  }

  /** A client that comes back has these consumers on its side. */
  keep(local: LocalParticipant, consumerIds: readonly string[]): void {
    this.#consumers.keep(local, consumerIds);
  }

  /** The SFU has closed a consumer by itself. */
  closed(local: LocalParticipant, consumerId: string): void {
    this.#consumers.closed(local, consumerId);
  }
}

function serverOfSource(key: SourceKey): string {
  return splitParticipantId(parseSourceKey(key).participantId).server;
}

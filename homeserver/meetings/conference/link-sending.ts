/** What we send over one link: the sources of our own participants that the other side wants. */
import type { LinkConference } from './link-ports.ts';
import { parseSourceKey, type SourceKey } from './local-participant.ts';
import { splitParticipantId } from './membership.ts';
import type { Offer } from './messages.ts';
import type { SfuPort } from './ports.ts';

export class LinkSending {
  readonly #linkId: string;
  readonly #conference: LinkConference;
  readonly #sfu: SfuPort;
  /** The producers that are sent, by source. */
  readonly #producers = new Map<SourceKey, string>();
  #ended = false;

  constructor(linkId: string, { conference, sfu }: { conference: LinkConference; sfu: SfuPort }) {
    this.#linkId = linkId;
    this.#conference = conference;
    this.#sfu = sfu;
  }

  /** After a restart of the homeserver: these are being sent. */
  restore(producers: ReadonlyMap<SourceKey, string>): void {
    for (const [key, producerId] of producers) this.#producers.set(key, producerId);
  }

  /** Whether this is being sent, as far as is known here. */
  has(producerId: string): boolean {
    return [...this.#producers.values()].includes(producerId);
  }

  /** A source has ended, and the SFU has ended it on the link. */
  gone(key: SourceKey): void {
    this.#producers.delete(key);
  }

  /** The link has ended. */
  end(): void {
    this.#ended = true;
    this.#producers.clear();
  }

  /** Sends these, as far as they exist, and nothing else. @returns what the other side needs to receive them */
  async set(keys: readonly SourceKey[]): Promise<Offer[]> {
    const wanted = new Set(keys);
    for (const [key, producerId] of [...this.#producers]) {
      if (wanted.has(key) && this.#conference.localSource(key)?.producerId === producerId) continue;
      this.#producers.delete(key);
      await this.#sfu.request('link.unsend', { linkId: this.#linkId, producerId }).catch((error: unknown) => {
        this.#conference.log.info({ err: error }, 'link: a source was not ended');
      });
    }
    const offers = await Promise.all(keys.map((key) => this.#offer(key)));
    return offers.filter((offer) => offer !== undefined);
  }

  async #offer(key: SourceKey): Promise<Offer | undefined> {
    const local = this.#conference.localSource(key);
    if (!local) return undefined;
    const { producerId, paused } = local;
    const sent = await this.#sfu.request('link.send', { linkId: this.#linkId, producerId });
    if (this.#ended || this.#conference.localSource(key)?.producerId !== producerId) return undefined;
    this.#producers.set(key, producerId);
    const { participantId, source } = parseSourceKey(key);
    const { userId, deviceId } = splitParticipantId(participantId);
    return {
      user_id: userId,
      device_id: deviceId,
      source,
      id: producerId,
      kind: sent.kind,
      paused,
      rtp_parameters: sent.rtpParameters,
    };
  }
}

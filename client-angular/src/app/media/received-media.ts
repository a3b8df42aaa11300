/**
 * What is received, one for each source. What comes for a source that is received already takes the place of the
 * earlier one (its link was replaced): that goes on until the new one has brought something to show or to hear. At no
 * moment there are two for a source, so nobody is heard twice.
 */
import type { types } from 'mediasoup-client';
import { KIND_OF_SOURCE, type Source } from '../../../../protocol/media.ts';

/** So long the earlier one goes on at most, in ms: somewhat longer than the server waits for the first picture. */
const SWITCH_WITHIN_MS = 4_000;
const LOOK_EVERY_MS = 40;
/** So many packets of 20 ms fill the jitter buffer of what comes over a link. */
const PACKETS_TO_HEAR = 5;

export interface RemoteMedia {
  consumerId: string;
  participantId: string;
  source: Source;
  track: MediaStreamTrack;
  /** The line is too weak for this picture: the server sends none. */
  weak: boolean;
}

/** The part of a consumer that is used here. */
export type Incoming = Pick<types.Consumer, 'id' | 'closed' | 'close' | 'getStats'>;

interface Held {
  readonly consumer: Incoming;
  media: RemoteMedia;
  /** The server has ended it: it stays until the one that follows it brings something. */
  ended: boolean;
}

/** The key of a source among all: also used by the store and the stage. */
export function mediaKey(participantId: string, source: Source): string {
  return `${participantId} ${source}`;
}

export class ReceivedMedia {
  readonly #changed: (media: ReadonlyMap<string, RemoteMedia>) => void;
  readonly #shown = new Map<string, Held>();
  /** Those that are to take the place of one that is shown. */
  readonly #coming = new Map<string, Held>();

  /** @param changed gets all that is shown and heard, whenever it is another than before */
  constructor(changed: (media: ReadonlyMap<string, RemoteMedia>) => void) {
    this.#changed = changed;
  }

  /** Of all that is received. */
  get consumerIds(): string[] {
    return [...this.#shown.values(), ...this.#coming.values()].map(({ consumer }) => consumer.id);
  }

  /** @returns when it is shown and heard, or will not be any more; it need not be waited for */
  async add(consumer: Incoming, media: RemoteMedia): Promise<void> {
    const key = mediaKey(media.participantId, media.source);
    const held: Held = { consumer, media, ended: false };
    if (this.#shown.has(key)) {
      this.#coming.get(key)?.consumer.close();
      this.#coming.set(key, held);
      await brings(consumer, media.source);
      if (this.#coming.get(key) !== held) return;
      this.#coming.delete(key);
    }
    this.#shown.get(key)?.consumer.close();
    this.#shown.set(key, held);
    this.#tell();
  }

  /** @returns false when there is none of this id */
  remove(consumerId: string): boolean {
    for (const [key, held] of this.#coming) {
      if (held.consumer.id !== consumerId) continue;
      this.#coming.delete(key);
      held.consumer.close();
      if (this.#shown.get(key)?.ended) this.#hide(key);
      return true;
    }
    for (const [key, held] of this.#shown) {
      if (held.consumer.id !== consumerId) continue;
      if (this.#coming.has(key)) held.ended = true;
      else this.#hide(key);
      return true;
    }
    return false;
  }

  setWeak(consumerId: string, weak: boolean): void {
    for (const held of [...this.#shown.values(), ...this.#coming.values()]) {
      if (held.consumer.id !== consumerId || held.media.weak === weak) continue;
      held.media = { ...held.media, weak };
      this.#tell();
    }
  }

  /** Forgets all: its transport is closed by whoever calls this. */
  clear(): void {
    this.#shown.clear();
    this.#coming.clear();
  }

  #hide(key: string): void {
    this.#shown.get(key)?.consumer.close();
    this.#shown.delete(key);
    this.#tell();
  }

  #tell(): void {
    this.#changed(new Map([...this.#shown].map(([key, { media }]) => [key, media])));
  }
}

/** Waits until there is something to show or to hear. What is silent, or never begins, ends the wait after a time. */
async function brings(consumer: Incoming, source: Source): Promise<void> {
  const end = performance.now() + SWITCH_WITHIN_MS;
  while (!consumer.closed && performance.now() < end) {
    const stats = await consumer.getStats().catch(() => undefined);
    for (const entry of stats?.values() ?? []) {
      const { type, framesDecoded = 0, packetsReceived = 0 } = entry as Partial<RTCInboundRtpStreamStats>;
      if (type !== 'inbound-rtp') continue;
      if (KIND_OF_SOURCE[source] === 'video' ? framesDecoded > 0 : packetsReceived >= PACKETS_TO_HEAR) return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

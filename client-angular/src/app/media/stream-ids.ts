import type { Source } from '../../../../protocol/media.ts';

/**
 * Names of media streams for the SDP. They are made here: an id that another server chose could hold spaces or line
 * breaks, and so break or change the session description.
 */
export class StreamIds {
  readonly #ids = new Map<string, string>();

  /** One stream for each person keeps lips and voice together; a shared screen goes by itself, with its sound. */
  of(participantId: string, source: Source): string {
    const stream = source === 'microphone' || source === 'camera' ? 'person' : 'screen';
    const key = `${stream} ${participantId}`;
    const id = this.#ids.get(key) ?? `${stream}-${String(this.#ids.size + 1)}`;
    this.#ids.set(key, id);
    return id;
  }
}

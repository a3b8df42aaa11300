/** Asks the other homeserver regularly whether it still has the link: media can go on when it does not answer any more. */
import type { Logger } from 'pino';
import type { Cancel, Clock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';

/** How often each side asks whether the link is there, and how soon again after a failure, in ms. */
const EVERY_MS = 4_000;
const AGAIN_MS = 1_000;

export interface LinkCheckOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** The link to be asked about. */
  readonly linkId: () => string | undefined;
  /** Asks about it, and deals with what comes of it. Never rejects. @returns whether the other homeserver is silent */
  readonly ask: (linkId: string) => Promise<boolean>;
}

export class LinkCheck {
  readonly #options: LinkCheckOptions;
  #next: Cancel | undefined;

  constructor(options: LinkCheckOptions) {
    this.#options = options;
  }

  /** From now on it is asked. @param soon because nothing is known of the other homeserver yet */
  start(soon = false): void {
    this.stop();
    this.#next = this.#options.clock.after(soon ? AGAIN_MS : EVERY_MS, () => {
      this.#ask().catch(unexpected(this.#options.log, 'link: it was not asked for'));
    });
  }

  stop(): void {
    this.#next?.();
    this.#next = undefined;
  }

  async #ask(): Promise<void> {
    const linkId = this.#options.linkId();
    if (linkId === undefined) return;
    const silent = await this.#options.ask(linkId);
    if (linkId === this.#options.linkId()) this.start(silent);
  }
}

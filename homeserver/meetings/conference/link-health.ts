/**
 * How a link is, as clients are told: from the probes of the SFU, from what the other homeserver answers, and from the
 * time limit of a link that is not there yet.
 */
import type { Cancel, Clock } from '../../base/clock.ts';
import type { LinkState } from '../../../protocol/session.ts';
import type { Hop } from './link-phase.ts';

/** A link that is not there after this time is shown as interrupted, in ms. */
const CONNECT_WITHIN_MS = 10_000;

/** What the probes of the SFU tell of a link. */
export type Probes = Pick<LinkState, 'roundTripMs' | 'loss'> & { state: 'connected' | 'weak' | 'interrupted' };

export class LinkHealth {
  readonly #organisation: string;
  readonly #clock: Clock;
  readonly #tell: (state: LinkState) => void;
  /** What is waited for while there is no link. */
  hop: Hop = 'federation';
  /** There is a link, perhaps still on its way. */
  #inUse = false;
  /** Of the link in use. */
  #probes: Probes | undefined;
  /** Failed requests in a row. */
  #silent = 0;
  #limit: Cancel | undefined;
  #stopped = false;
  #state: LinkState;

  /** @param tell gets what is new for clients; the first state at once */
  constructor(organisation: string, clock: Clock, tell: (state: LinkState) => void) {
    this.#organisation = organisation;
    this.#clock = clock;
    this.#tell = tell;
    this.#state = { organisation, state: 'connecting', since: clock.now() };
    tell(this.#state);
    this.#limitConnecting();
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Whether the other homeserver has not answered what it was asked last. */
  get silent(): boolean {
    return this.#silent > 0;
  }

  /** A new link is in use: nothing is known of it yet. */
  use(): void {
    this.#inUse = true;
    this.#probes = undefined;
  }

  /** There is no link now. */
  disuse(): void {
    this.#inUse = false;
    this.#probes = undefined;
  }

  /** A link is looked for again. One that was interrupted stays so until the new one is there. */
  connecting(): void {
    if (this.#state.state !== 'interrupted') this.#set('connecting');
    this.#limitConnecting();
  }

  connected(): void {
    this.#set('connected');
  }

  interrupted(hop: Hop, details: Partial<LinkState> = {}): void {
    this.#set('interrupted', { ...details, hop });
  }

  probed(probes: Probes): void {
    this.#probes = probes;
    this.#judge();
  }

  /** The other homeserver answered. */
  answered(): void {
    if (this.#silent === 0) return;
    this.#silent = 0;
    this.#judge();
  }

  /** The other homeserver did not answer. */
  unanswered(): void {
    this.#silent += 1;
    this.#judge();
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#stopped = true;
    this.#limit?.();
  }

  /** A link that is not there in time is interrupted, on the side that waits as well. */
  #limitConnecting(): void {
    this.#limit?.();
    this.#limit = this.#clock.after(CONNECT_WITHIN_MS, () => {
      if (!this.#stopped && this.#state.state === 'connecting') this.interrupted(this.hop);
    });
  }

  /** One request that failed may be chance; the second is a homeserver that does not answer. */
  #judge(): void {
    if (!this.#inUse) return;
    if (this.#silent > 1) this.interrupted('federation');
    else if (this.#probes?.state === 'interrupted') this.interrupted('media', this.#probes);
    else if (this.#probes) this.#set(this.#probes.state, this.#probes);
  }

  #set(state: LinkState['state'], details: Partial<LinkState> = {}): void {
    if (this.#stopped) return;
    const since = state === this.#state.state ? this.#state.since : this.#clock.now();
    const changed = state !== this.#state.state || details.hop !== this.#state.hop;
    this.#state = { ...details, organisation: this.#organisation, state, since };
    if (state !== 'connecting') this.#limit?.();
    if (changed) this.#tell(this.#state);
  }
}

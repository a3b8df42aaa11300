/**
 * Watches one conference for somebody who is alone in it: after a while microphone and camera are switched off, then the
 * person is asked whether to stay, then the conference is left. It ends as soon as somebody else comes.
 */
import type { AloneStage, AloneState } from '../../../../protocol/modules/alone.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';

/** After how long alone, in ms; 0: never. */
export interface AloneTimes {
  readonly mediaOffMs: number;
  readonly askMs: number;
  readonly leaveMs: number;
}

export interface AloneGuardDeps {
  readonly times: AloneTimes;
  readonly clock: Clock;
  /** Another stage has begun. */
  changed(state: AloneState): void;
  mediaOff(): void;
  leave(): void;
}

export class AloneGuard {
  readonly #deps: AloneGuardDeps;
  #stage: AloneStage = 'together';
  /** Of the monotonic clock, in ms. */
  #since = 0;
  #cancels: Cancel[] = [];

  constructor(deps: AloneGuardDeps) {
    this.#deps = deps;
  }

  get state(): AloneState {
    const { times, clock } = this.#deps;
    if (this.#stage === 'together' || times.leaveMs === 0) return { stage: this.#stage };
    const left = this.#since + times.leaveMs - clock.monotonic();
    return { stage: this.#stage, leavesInMs: Math.max(0, Math.round(left)) };
  }

  /** How many people are in the conference, here and elsewhere. */
  count(people: number): void {
    if (people === 1 && this.#stage === 'together') this.#begin();
    else if (people !== 1 && this.#stage !== 'together') this.#end();
  }

  /** The person has answered: all times begin anew. */
  stay(): void {
    if (this.#stage === 'together') return;
    this.#cancel();
    this.#begin();
    this.#deps.changed(this.state);
  }

  #begin(): void {
    const { times, clock, mediaOff, leave } = this.#deps;
    this.#stage = 'alone';
    this.#since = clock.monotonic();
    this.#after(times.mediaOffMs, () => {
      mediaOff();
      this.#enter('media-off');
    });
    this.#after(times.askMs, () => this.#enter('asked'));
    this.#after(times.leaveMs, leave);
  }

  #enter(stage: AloneStage): void {
    this.#stage = stage;
    this.#deps.changed(this.state);
  }

  #after(ms: number, task: () => void): void {
    if (ms > 0) this.#cancels.push(this.#deps.clock.after(ms, task));
  }

  #end(): void {
    this.#cancel();
    const wasTold = this.#stage !== 'alone';
    this.#stage = 'together';
    if (wasTold) this.#deps.changed(this.state);
  }

  #cancel(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
  }
}

/** What the benchmark and the process that attacks tell each other by IPC. */
import type { Place } from '../../hostile/fuzz/target-messages.ts';

export type Attacked = NonNullable<Place['homeserver']>;

export interface AttackOrder {
  readonly name: string;
  readonly homeserver: Attacked;
  /** The meeting that is attacked where the attack is one on a meeting; public. */
  readonly roomId: string;
  readonly forMs: number;
}

/** How many acts were done, and how many of them came to an exception in the attacker's own process. */
export interface AttackReport {
  readonly acts: number;
  readonly failed: number;
  /** The first of the exceptions. */
  readonly failure?: string;
}

export type AttackerMessage = { readonly type: 'ready' } | ({ readonly type: 'done' } & AttackReport);

/** State that members may write in the meeting, for forks of its history. */
export const FORK = 'org.example.fork';

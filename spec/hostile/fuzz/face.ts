/** What a face of Hansetag is to the attacker: something that takes inputs, which come from a seed. */
import type { Random } from '../../soak/random.ts';
import type { Target } from './target-process.ts';
import type { Targets } from './targets.ts';

/** What came of one input. */
export interface Answered {
  /** Its class, to be counted: `2xx`, `refused`, `reset`. */
  readonly kind: string;
  /** Says why this must not be. */
  readonly fault?: string;
}

export interface Face<Input> {
  /** The input of a number: depends on nothing but the generator. */
  make(random: Random): Input;
  /** Never rejects for what the target does. */
  send(input: Input): Promise<Answered>;
  /** From time to time: makes again what inputs have broken, such as log-ins and rooms. */
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** A face with whatever inputs it has. */
export interface AnyFace {
  send(random: Random): { readonly input: unknown; readonly answered: Promise<Answered> };
  mend(): Promise<void>;
  close(): Promise<void>;
}

/** How a face is attacked. */
export interface Attack {
  /** How many inputs are under way at a time. */
  readonly atOnce: number;
  open(targets: Targets): Promise<{ readonly target: Target; readonly face: AnyFace }>;
}

export function anyFace<Input>(face: Face<Input>): AnyFace {
  return {
    send: (random) => {
      const input = face.make(random);
      return { input, answered: face.send(input) };
    },
    mend: () => face.mend(),
    close: () => face.close(),
  };
}

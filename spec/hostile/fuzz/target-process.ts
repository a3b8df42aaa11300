/** The attacked process, as the attacker has it. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Place, TargetKind, TargetMessage, TargetOrder, Usage } from './target-messages.ts';

/** Something that the target must not do, whatever it is sent. */
export interface Trouble {
  readonly type: 'crash' | 'exception' | 'rejection' | 'error' | 'stall';
  readonly what: string;
}

/** From the order until it has ended, in ms. */
const END_PATIENCE_MS = 15_000;

export class Target {
  readonly place: Place;
  /** Told of what goes wrong in it. */
  onTrouble: (trouble: Trouble) => void = () => undefined;
  readonly #child: ChildProcess;
  #ending = false;

  private constructor(child: ChildProcess, place: Place) {
    this.#child = child;
    this.place = place;
    child.on('message', (message: TargetMessage) => {
      if (message.type === 'stall') this.onTrouble({ type: 'stall', what: `${String(message.ms)} ms` });
      else if ('what' in message) this.onTrouble(message);
    });
    child.on('exit', (code, signal) => {
      if (!this.#ending) this.onTrouble({ type: 'crash', what: `ended with ${String(signal ?? code)}` });
    });
  }

  /** @param settings of the homeserver, beside those that it needs to run */
  static async start(kind: TargetKind, settings: Readonly<Record<string, string>> = {}): Promise<Target> {
    const child = fork(join(import.meta.dirname, 'target.ts'), [kind, JSON.stringify(settings)], {
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    });
    const place = await new Promise<Place>((resolve, reject) => {
      child.on('message', (message: TargetMessage) => {
        if (message.type === 'ready') resolve(message.place);
      });
      child.once('error', reject);
      child.once('exit', () => reject(new Error('The target could not be started.')));
    });
    return new Target(child, place);
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get homeserver(): NonNullable<Place['homeserver']> {
    if (!this.place.homeserver) throw new Error('This target has no homeserver.');
    return this.place.homeserver;
  }

  /** Collects its garbage first. @param reset whether stalls and the peak begin anew. */
  async usage(reset = false): Promise<Usage | undefined> {
    if (this.hasEnded) return undefined;
    return new Promise((resolve) => {
      const done = (usage?: Usage): void => {
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        resolve(usage);
      };
      const onMessage = (message: TargetMessage): void => {
        if (message.type === 'usage') done(message.usage);
      };
      const onExit = (): void => done();
      this.#child.on('message', onMessage).on('exit', onExit);
      this.#order(reset ? 'reset' : 'usage');
    });
  }

  /** May be called more than once. */
  async close(): Promise<void> {
    this.#ending = true;
    if (this.hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.#order('end');
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), END_PATIENCE_MS);
    await ended;
    clearTimeout(kill);
  }

  #order(order: TargetOrder): void {
    this.#child.send(order);
  }
}

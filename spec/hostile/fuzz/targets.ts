/** Targets that attacks share one after the other, so that each kind is started once. */
import type { TargetKind } from './target-messages.ts';
import { Target } from './target-process.ts';
import { SETTINGS } from './world.ts';

export class Targets {
  readonly #shared = new Map<TargetKind, Target>();
  readonly #own = new Set<Target>();

  /** The target that all attacks on this kind share; one that has ended is replaced. */
  async shared(kind: TargetKind): Promise<Target> {
    const running = this.#shared.get(kind);
    if (running && !running.hasEnded) return running;
    const target = await Target.start(kind, SETTINGS);
    this.#shared.set(kind, target);
    return target;
  }

  /** One for an attack alone. @param settings beside those that all have */
  async own(kind: TargetKind, settings: Readonly<Record<string, string>>): Promise<Target> {
    const target = await Target.start(kind, { ...SETTINGS, ...settings });
    this.#own.add(target);
    return target;
  }

  /** The attack is over: ends its target, unless it is shared. */
  async release(target: Target): Promise<void> {
    if (this.#own.delete(target)) await target.close();
  }

  async close(): Promise<void> {
    const all = [...this.#shared.values(), ...this.#own];
    this.#shared.clear();
    this.#own.clear();
    await Promise.all(all.map((target) => target.close()));
  }
}

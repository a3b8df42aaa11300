/** Short sounds that call somebody to the screen. Each can be switched off; the choice is kept in this browser. */
import { effect, Injectable, signal } from '@angular/core';

const KEY = 'hansetag-sounds';

/** Two tones each: their frequencies in Hz. */
const TONES = {
  /** Somebody waits to be let in. */
  waits: [587, 784],
  /** The person is let in. */
  admitted: [523, 659],
} as const;
export type SoundName = keyof typeof TONES;

/** Length of a tone, in seconds. */
const TONE_S = 0.18;
const VOLUME = 0.12;
/** The same sound is not played again sooner, in ms: many who come at once ring once. */
const REST_MS = 4_000;

@Injectable({ providedIn: 'root' })
export class Sounds {
  readonly #off = signal<ReadonlySet<string>>(readOff());
  readonly #playedAt = new Map<SoundName, number>();
  #context: AudioContext | undefined;

  constructor() {
    effect(() => {
      const off = [...this.#off()];
      if (off.length === 0) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, `off:${off.join(',')}`);
    });
  }

  /** Reactive. */
  isOn(name: SoundName): boolean {
    return !this.#off().has(name);
  }

  turn(name: SoundName, on: boolean): void {
    this.#off.update((before) => {
      const off = new Set(before);
      if (on) off.delete(name);
      else off.add(name);
      return off;
    });
  }

  play(name: SoundName): void {
    const now = performance.now();
    if (!this.isOn(name) || now - (this.#playedAt.get(name) ?? -Infinity) < REST_MS) return;
    this.#playedAt.set(name, now);
    // Where the browser has no sound, or not before a click, the screen and the announcement say the same.
    try {
      this.#context ??= new AudioContext();
      ring(this.#context, TONES[name]);
    } catch {
      this.#context = undefined;
    }
  }
}

function ring(context: AudioContext, tones: readonly number[]): void {
  if (context.state === 'suspended') context.resume().catch(() => undefined);
  for (const [index, frequency] of tones.entries()) {
    const start = context.currentTime + index * TONE_S;
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(VOLUME, start + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, start + TONE_S);
    const tone = new OscillatorNode(context, { type: 'sine', frequency });
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + TONE_S);
  }
}

function readOff(): ReadonlySet<string> {
  const [, names = ''] = /^off:(.*)$/.exec(localStorage.getItem(KEY) ?? '') ?? [];
  return new Set(names.split(',').filter((name) => name !== ''));
}

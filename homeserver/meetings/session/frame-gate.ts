/**
 * How fast a client may ask. Frames are counted before they are read; what is too fast waits, and who owes too much is
 * cut off. A WebSocket library hands over all frames of a packet at once, whatever was paused meanwhile.
 */
import { SESSION_RATE } from '../../base/limits.ts';
import type { RawData, WebSocket } from 'ws';

/** How many requests may come at once; SESSION_RATE is what may go on. */
const BURST = 150;
const PER_SECOND = SESSION_RATE.points / SESSION_RATE.seconds;
/** Requests that may be under way at the same time. */
const MAX_UNDER_WAY = 32;
/** What may wait: frames, and bytes of them. */
const MAX_WAITING = 300;
const MAX_WAITING_BYTES = 1024 * 1024;
/** WebSocket close code for who asks faster for long, after HTTP 429. */
export const TOO_FAST = 4029;

/** Requests that a device may make; it outlives single connections. */
export class Allowance {
  #left = BURST;
  #refilledAt = performance.now();

  /** Takes one request. @returns the ms to wait first; 0 when it was taken */
  take(): number {
    const now = performance.now();
    this.#left = Math.min(BURST, this.#left + ((now - this.#refilledAt) * PER_SECOND) / 1000);
    this.#refilledAt = now;
    if (this.#left < 1) return Math.ceil(((1 - this.#left) * 1000) / PER_SECOND);
    this.#left -= 1;
    return 0;
  }
}

interface Frame {
  readonly data: RawData;
  readonly binary: boolean;
}

export class FrameGate {
  readonly #socket: WebSocket;
  readonly #allowance: Allowance;
  readonly #handle: (data: RawData, binary: boolean) => Promise<void>;
  readonly #waiting: Frame[] = [];
  #waitingBytes = 0;
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param handle must not reject */
  constructor(socket: WebSocket, allowance: Allowance, handle: (data: RawData, binary: boolean) => Promise<void>) {
    this.#socket = socket;
    this.#allowance = allowance;
    this.#handle = handle;
  }

  push(data: RawData, binary: boolean): void {
    if (this.#closed) return;
    this.#waiting.push({ data, binary });
    this.#waitingBytes += sizeOf(data);
    this.#drain();
    if (this.#waiting.length <= MAX_WAITING && this.#waitingBytes <= MAX_WAITING_BYTES) return;
    this.close();
    this.#socket.close(TOO_FAST, 'too fast');
  }

  /** What waits is dropped. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #drain(): void {
    while (!this.#closed && !this.#timer && this.#waiting.length > 0 && this.#underWay < MAX_UNDER_WAY) {
      const waitMs = this.#allowance.take();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#drain();
        }, waitMs);
        break;
      }
      const frame = this.#waiting.shift();
      if (!frame) break;
      this.#waitingBytes -= sizeOf(frame.data);
      this.#underWay += 1;
      const done = (): void => {
        this.#underWay -= 1;
        this.#drain();
      };
      this.#handle(frame.data, frame.binary).then(done, done);
    }
    if (this.#waiting.length > 0) this.#socket.pause();
    else if (this.#socket.isPaused) this.#socket.resume();
  }
}

function sizeOf(data: RawData): number {
  if (Array.isArray(data)) return data.reduce((sum, part) => sum + part.length, 0);
  return data.byteLength;
}

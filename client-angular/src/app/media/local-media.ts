/**
 * The person's own camera and microphone. Off means that the device is released, so that its light goes out.
 * Lobby and conference share it: what was chosen before the meeting goes on in it. Which device is used is kept in this
 * browser; what was turned off stays off in this tab, also when the page is loaded again.
 */
import { Injectable, type Signal, signal } from '@angular/core';
import { type DeviceProblem, deviceProblem } from './device-problem.ts';

export const LOCAL_KINDS = ['microphone', 'camera'] as const;
export type LocalKind = (typeof LOCAL_KINDS)[number];

export interface LocalSource {
  /** What the person wants. */
  on: boolean;
  track?: MediaStreamTrack;
  opening: boolean;
  problem?: DeviceProblem;
}

const OFF: LocalSource = { on: false, opening: false };
const STORAGE_KEY = 'hansetag-devices';
const OFF_KEY = 'hansetag-devices-off';

/** 720 lines are the largest simulcast layer; more would only cost. */
const CAMERA: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 25, max: 30 },
};
const MICROPHONE: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: { ideal: 1 },
};

function remembered(): Partial<Record<LocalKind, string>> {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}');
    if (typeof value !== 'object' || value === null) return {};
    const { microphone, camera } = value as Record<string, unknown>;
    return {
      ...(typeof microphone === 'string' ? { microphone } : {}),
      ...(typeof camera === 'string' ? { camera } : {}),
    };
  } catch {
    return {};
  }
}

/** What the person has turned off in this tab. */
function turnedOff(): Set<LocalKind> {
  const kept = (sessionStorage.getItem(OFF_KEY) ?? '').split(' ');
  return new Set(LOCAL_KINDS.filter((kind) => kept.includes(kind)));
}

@Injectable({ providedIn: 'root' })
export class LocalMedia {
  readonly #sources = { microphone: signal<LocalSource>(OFF), camera: signal<LocalSource>(OFF) };
  readonly microphone: Signal<LocalSource> = this.#sources.microphone.asReadonly();
  readonly camera: Signal<LocalSource> = this.#sources.camera.asReadonly();
  readonly #devices = signal<readonly MediaDeviceInfo[]>([]);
  /** Devices to choose from; names come only after the browser's permission. */
  readonly devices = this.#devices.asReadonly();
  readonly #chosen = remembered();
  readonly #turnedOff = turnedOff();
  /** Counts the wishes for each device, so that a late answer to an older one is thrown away. */
  readonly #wish = { microphone: 0, camera: 0 };

  constructor() {
    // Absent outside secure contexts, whatever the types say.
    (navigator.mediaDevices as MediaDevices | undefined)?.addEventListener('devicechange', () => void this.refresh());
  }

  source(kind: LocalKind): Signal<LocalSource> {
    return this.#sources[kind];
  }

  /** Opens what the person has not turned off before. */
  async open(): Promise<void> {
    const wanted = LOCAL_KINDS.filter((kind) => !this.#turnedOff.has(kind));
    if (wanted.length === LOCAL_KINDS.length) await this.#openBoth();
    else await Promise.all(wanted.map((kind) => this.turn(kind, true)));
    await this.refresh();
  }

  /** Opens both with one question of the browser; when that fails each is tried alone, to say what is wrong with which. */
  async #openBoth(): Promise<void> {
    const wishes = { microphone: ++this.#wish.microphone, camera: ++this.#wish.camera };
    for (const kind of LOCAL_KINDS) {
      this.#release(kind);
      this.#sources[kind].set({ on: true, opening: true });
    }
    try {
      const stream = await this.#ask({ audio: this.#constraints('microphone'), video: this.#constraints('camera') });
      this.#got('microphone', wishes.microphone, stream.getAudioTracks()[0]);
      this.#got('camera', wishes.camera, stream.getVideoTracks()[0]);
    } catch {
      await Promise.all(LOCAL_KINDS.map((kind) => this.#openOne(kind, wishes[kind])));
    }
  }

  /** Does what the person wants from now on. A device that fails is still wanted. */
  async turn(kind: LocalKind, on: boolean): Promise<void> {
    if (on) this.#turnedOff.delete(kind);
    else this.#turnedOff.add(kind);
    sessionStorage.setItem(OFF_KEY, [...this.#turnedOff].join(' '));
    const wish = ++this.#wish[kind];
    this.#release(kind);
    if (!on) {
      this.#sources[kind].set(OFF);
      return;
    }
    this.#sources[kind].set({ on: true, opening: true });
    await this.#openOne(kind, wish);
    await this.refresh();
  }

  /** Uses another device from now on, and remembers it in this browser. */
  async choose(kind: LocalKind, deviceId: string): Promise<void> {
    this.#chosen[kind] = deviceId;
    localStorage.setItem(STORAGE_KEY, JSON.stringify(this.#chosen));
    await this.turn(kind, true);
  }

  /** Releases both devices, and changes nothing of what the person wants. */
  release(): void {
    for (const kind of LOCAL_KINDS) {
      this.#wish[kind] += 1;
      this.#release(kind);
      this.#sources[kind].set(OFF);
    }
  }

  async refresh(): Promise<void> {
    const all = await (navigator.mediaDevices as MediaDevices | undefined)?.enumerateDevices().catch(() => []);
    this.#devices.set(all ?? []);
  }

  /** Does not even ask the browser when the wish was withdrawn meanwhile. */
  async #openOne(kind: LocalKind, wish: number): Promise<void> {
    if (wish !== this.#wish[kind]) return;
    try {
      const constraints = this.#constraints(kind);
      const stream = await this.#ask(kind === 'camera' ? { video: constraints } : { audio: constraints });
      this.#got(kind, wish, stream.getTracks()[0]);
    } catch (error) {
      if (wish !== this.#wish[kind]) return;
      this.#sources[kind].set({ on: false, opening: false, problem: deviceProblem(error) });
    }
  }

  async #ask(constraints: MediaStreamConstraints): Promise<MediaStream> {
    const { mediaDevices } = navigator as { mediaDevices?: MediaDevices };
    if (!mediaDevices) throw new DOMException('no media devices here', 'NotSupportedError');
    return await mediaDevices.getUserMedia(constraints);
  }

  #got(kind: LocalKind, wish: number, track: MediaStreamTrack | undefined): void {
    if (!track || wish !== this.#wish[kind]) {
      track?.stop();
      return;
    }
    track.addEventListener('ended', () => {
      if (wish === this.#wish[kind]) this.#sources[kind].set({ on: false, opening: false, problem: 'lost' });
    });
    this.#sources[kind].set({ on: true, opening: false, track });
  }

  #release(kind: LocalKind): void {
    this.#sources[kind]().track?.stop();
  }

  #constraints(kind: LocalKind): MediaTrackConstraints {
    const deviceId = this.#chosen[kind];
    const wanted = kind === 'camera' ? CAMERA : MICROPHONE;
    // `ideal`: a remembered device that is not plugged in today must not stand in the way.
    return deviceId === undefined ? wanted : { ...wanted, deviceId: { ideal: deviceId } };
  }
}

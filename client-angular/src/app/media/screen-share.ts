/**
 * The person's own shared screen: one question to the browser at a time, and one stream whose picture and sound begin
 * and end together. It belongs to one meeting, and no answer is taken after that meeting's end.
 */
import { Injectable, signal } from '@angular/core';

/** Text is read on most shared screens: sharp before smooth. In frames per second. */
const MAX_FRAME_RATE = 15;

export type ScreenShareState =
  | { readonly kind: 'off' }
  /** The browser asks the person what to share. */
  | { readonly kind: 'asking' }
  | { readonly kind: 'sharing'; readonly picture: MediaStreamTrack; readonly sound: MediaStreamTrack | undefined };

const OFF: ScreenShareState = { kind: 'off' };

@Injectable({ providedIn: 'root' })
export class ScreenShare {
  readonly #state = signal<ScreenShareState>(OFF);
  readonly state = this.#state.asReadonly();
  /** Ends the question or the share at hand. */
  #current: AbortController | undefined;

  /** Phones cannot share their screen. */
  get supported(): boolean {
    return typeof (navigator.mediaDevices as MediaDevices | undefined)?.getDisplayMedia === 'function';
  }

  /**
   * Whether this browser captures the sound of what is shared. Only Chromium does, and only its constraints say so:
   * Firefox and Safari leave the sound out without a word.
   */
  get soundSupported(): boolean {
    const { mediaDevices } = navigator as { mediaDevices?: MediaDevices };
    return mediaDevices !== undefined && 'suppressLocalAudioPlayback' in mediaDevices.getSupportedConstraints();
  }

  /**
   * Asks the person what to share. Does nothing while a question is open or something is shared.
   * @param meeting aborted when the meeting ends: then the share ends, or the answer comes too late and is dropped
   */
  async start(meeting: AbortSignal): Promise<void> {
    if (this.#current || meeting.aborted || !this.supported) return;
    const current = new AbortController();
    this.#current = current;
    const { signal: ended } = current;
    meeting.addEventListener('abort', () => current.abort(), { signal: ended });
    ended.addEventListener('abort', () => this.#end(current));
    this.#state.set({ kind: 'asking' });
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({
        video: { frameRate: { max: MAX_FRAME_RATE } },
        audio: true,
      });
    } catch {
      // The person closed the browser's question: an answer, not a failure.
      current.abort();
      return;
    }
    const tracks = stream.getTracks();
    const stopAll = (): void => {
      for (const track of tracks) track.stop();
    };
    const [picture] = stream.getVideoTracks();
    if (ended.aborted || !picture) {
      stopAll();
      current.abort();
      return;
    }
    ended.addEventListener('abort', stopAll);
    // The person may end either of the two in the browser's own sign: half of a share is none.
    for (const track of tracks) track.addEventListener('ended', () => current.abort());
    picture.contentHint = 'detail';
    this.#state.set({ kind: 'sharing', picture, sound: stream.getAudioTracks()[0] });
  }

  /** Ends the share; while the browser still asks, its answer will be dropped. */
  stop(): void {
    this.#current?.abort();
  }

  #end(ended: AbortController): void {
    if (this.#current !== ended) return;
    this.#current = undefined;
    this.#state.set(OFF);
  }
}

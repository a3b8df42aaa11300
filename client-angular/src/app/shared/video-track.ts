/** Shows a video track in a `<video>` element. The element stays muted: sound has elements of its own. */
import { Directive, effect, ElementRef, inject, input, output } from '@angular/core';

@Directive({ selector: 'video[htTrack]', exportAs: 'htTrack' })
export class VideoTrack {
  readonly htTrack = input.required<MediaStreamTrack | undefined>();
  /** The first picture of a track is on the screen. */
  readonly firstFrame = output();
  readonly #video = inject<ElementRef<HTMLVideoElement>>(ElementRef).nativeElement;
  /** A picture has come since the last call of `moved`. */
  #moved = false;
  #request: number | undefined;

  constructor() {
    const video = this.#video;
    video.muted = true;
    video.playsInline = true;
    video.autoplay = true;
    effect((onCleanup) => {
      const track = this.htTrack();
      this.#show(track);
      this.#moved = false;
      if (!track) return;
      // A play that a newer track interrupts is no failure.
      video.play().catch(() => undefined);
      if (countsFrames(video)) {
        this.#await(() => this.firstFrame.emit());
        onCleanup(() => this.#forget());
      } else {
        const onData = (): void => this.firstFrame.emit();
        video.addEventListener('loadeddata', onData, { once: true });
        onCleanup(() => video.removeEventListener('loadeddata', onData));
      }
    });
  }

  /**
   * Whether a new picture came since the last call; the first call after a track began is about its first picture.
   * The browser is asked for one picture for each call. `getVideoPlaybackQuality` would be simpler, but Firefox counts
   * files only: it stays at 0 for a track. Where pictures cannot be counted, a track that is not muted is believed.
   */
  moved(): boolean {
    if (!countsFrames(this.#video)) return this.htTrack()?.muted === false && this.#video.readyState >= 2;
    const moved = this.#moved;
    this.#moved = false;
    if (this.#request === undefined) this.#await();
    return moved;
  }

  /** A track takes the place of another in the same stream: a new stream would have the element begin anew, and stand still. */
  #show(track: MediaStreamTrack | undefined): void {
    const shown = this.#video.srcObject;
    if (!track || !(shown instanceof MediaStream)) {
      this.#video.srcObject = track ? new MediaStream([track]) : null;
      return;
    }
    const earlier = shown.getTracks().filter((one) => one !== track);
    shown.addTrack(track);
    for (const one of earlier) shown.removeTrack(one);
  }

  #await(then?: () => void): void {
    this.#request = this.#video.requestVideoFrameCallback(() => {
      this.#request = undefined;
      this.#moved = true;
      then?.();
    });
  }

  #forget(): void {
    if (this.#request !== undefined) this.#video.cancelVideoFrameCallback(this.#request);
    this.#request = undefined;
  }
}

/** Absent in Firefox before 132, whatever the types say. @see https://wicg.github.io/video-rvfc/ */
function countsFrames(video: HTMLVideoElement): boolean {
  return typeof (video as Partial<HTMLVideoElement>).requestVideoFrameCallback === 'function';
}

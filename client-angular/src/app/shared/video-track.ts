/** Shows a video track in a `<video>` element. The element stays muted: sound has elements of its own. */
import { Directive, effect, ElementRef, inject, input, output } from '@angular/core';

@Directive({ selector: 'video[htTrack]' })
export class VideoTrack {
  readonly htTrack = input.required<MediaStreamTrack | undefined>();
  /** The first picture of a track is on the screen. */
  readonly firstFrame = output();

  constructor() {
    const video = inject<ElementRef<HTMLVideoElement>>(ElementRef).nativeElement;
    video.muted = true;
    video.playsInline = true;
    video.autoplay = true;
    effect((onCleanup) => {
      const track = this.htTrack();
      video.srcObject = track ? new MediaStream([track]) : null;
      if (!track) return;
      // A play that a newer track interrupts is no failure.
      video.play().catch(() => undefined);
      const request = video.requestVideoFrameCallback(() => this.firstFrame.emit());
      onCleanup(() => video.cancelVideoFrameCallback(request));
    });
  }
}

import { Component, signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { VideoTrack } from './video-track.ts';

@Component({
  imports: [VideoTrack],
  template: '<video [htTrack]="track()" (firstFrame)="shown.set(shown() + 1)"></video>',
})
class Screen {
  readonly track = signal<MediaStreamTrack | undefined>(undefined);
  readonly shown = signal(0);
}

/** A track of a picture that changes all the time. */
function moving(): MediaStreamTrack {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  let step = 0;
  const draw = (): void => {
    step += 1;
    context?.fillRect(step % canvas.width, 0, 1, 1);
  };
  const timer = setInterval(draw, 20);
  const [track] = canvas.captureStream().getVideoTracks();
  if (!track) throw new Error('There is no track of a canvas.');
  track.addEventListener('ended', () => clearInterval(timer));
  stops.push(() => {
    clearInterval(timer);
    track.stop();
  });
  return track;
}
const stops: (() => void)[] = [];

describe('a track in a video element', () => {
  afterEach(() => {
    for (const stop of stops.splice(0)) stop();
  });

  it('takes the place of another one in the same stream, and is shown', async () => {
    const fixture = TestBed.createComponent(Screen);
    const { track, shown } = fixture.componentInstance;
    const video = (fixture.nativeElement as HTMLElement).querySelector('video');
    const until = async (count: number): Promise<void> => {
      while (shown() < count) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const [first, second] = [moving(), moving()];
    track.set(first);
    await fixture.whenStable();
    await until(1);
    const stream = video?.srcObject as MediaStream;
    track.set(second);
    await fixture.whenStable();
    first.stop();
    await until(2);
    expect(video?.srcObject).toBe(stream);
    expect(stream.getTracks()).toEqual([second]);
    track.set(undefined);
    await fixture.whenStable();
    expect(video?.srcObject).toBeNull();
  });
});

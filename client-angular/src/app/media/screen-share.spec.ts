import { TestBed } from '@angular/core/testing';
import { ScreenShare } from './screen-share.ts';

/** A screen as the browser gives it: a drawn picture and, where the browser can, a tone. */
function capture(withSound: boolean): MediaStream {
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 });
  canvas.getContext('2d')?.fillRect(0, 0, 64, 64);
  const stream = canvas.captureStream(5);
  if (withSound) {
    const [sound] = new AudioContext().createMediaStreamDestination().stream.getAudioTracks();
    if (sound) stream.addTrack(sound);
  }
  return stream;
}

function states(stream: MediaStream): string[] {
  return stream.getTracks().map(({ kind, readyState }) => `${kind} ${readyState}`);
}

describe('The own shared screen', () => {
  let share: ScreenShare;
  let meeting: AbortController;
  let answer: (stream: MediaStream) => void;
  let refuse: (error: Error) => void;
  let asked: jasmine.Spy;

  beforeEach(() => {
    share = TestBed.inject(ScreenShare);
    meeting = new AbortController();
    asked = spyOn(navigator.mediaDevices, 'getDisplayMedia').and.callFake(
      () =>
        new Promise((resolve, reject) => {
          answer = resolve;
          refuse = reject;
        }),
    );
  });

  afterEach(() => meeting.abort());

  async function started(stream = capture(true)): Promise<MediaStream> {
    const starting = share.start(meeting.signal);
    answer(stream);
    await starting;
    return stream;
  }

  it('has picture and sound', async () => {
    const stream = await started();
    const [picture] = stream.getVideoTracks();
    const [sound] = stream.getAudioTracks();
    if (!picture) throw new Error('nothing is captured');
    expect(share.state()).toEqual({ kind: 'sharing', picture, sound });
  });

  it('ends with both tracks: no sound is captured after it', async () => {
    const stream = await started();
    share.stop();
    expect(states(stream)).toEqual(['audio ended', 'video ended']);
    expect(share.state()).toEqual({ kind: 'off' });
  });

  for (const half of ['audio', 'video'] as const) {
    it(`ends as a whole when the person ends its ${half} in the browser`, async () => {
      const stream = await started();
      stream
        .getTracks()
        .find(({ kind }) => kind === half)
        ?.dispatchEvent(new Event('ended'));
      expect(states(stream)).toEqual(['audio ended', 'video ended']);
      expect(share.state().kind).toBe('off');
    });
  }

  it('ends with the meeting', async () => {
    const stream = await started();
    meeting.abort();
    expect(states(stream)).toEqual(['audio ended', 'video ended']);
    expect(share.state().kind).toBe('off');
  });

  it('is not begun by an answer that comes after the meeting, and not carried into the next one', async () => {
    const starting = share.start(meeting.signal);
    meeting.abort();
    expect(share.state().kind).toBe('off');
    const stream = capture(true);
    answer(stream);
    await starting;
    expect(states(stream)).toEqual(['audio ended', 'video ended']);
    const next = new AbortController();
    expect(share.state().kind).toBe('off');
    const again = share.start(next.signal);
    const second = capture(true);
    answer(second);
    await again;
    expect(share.state()).toEqual(jasmine.objectContaining({ kind: 'sharing', picture: second.getVideoTracks()[0] }));
    next.abort();
    expect(states(second)).toEqual(['audio ended', 'video ended']);
  });

  it('is asked for once, however often the button is pressed', async () => {
    const starting = share.start(meeting.signal);
    await share.start(meeting.signal);
    expect(asked).toHaveBeenCalledTimes(1);
    answer(capture(false));
    await starting;
    await share.start(meeting.signal);
    expect(asked).toHaveBeenCalledTimes(1);
  });

  it('is off again when the person shares nothing, and can be asked for again', async () => {
    const starting = share.start(meeting.signal);
    expect(share.state().kind).toBe('asking');
    refuse(new DOMException('', 'NotAllowedError'));
    await starting;
    expect(share.state().kind).toBe('off');
    await started();
    expect(share.state().kind).toBe('sharing');
  });

  it('knows that this browser captures sound', () => expect(share.soundSupported).toBeTrue());
});

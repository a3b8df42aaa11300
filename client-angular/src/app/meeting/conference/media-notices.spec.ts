import { signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { ConferenceClient, type Slept } from '../../conference/conference-client.ts';
import type { MediaLineState } from '../../media/media-line.ts';
import { ScreenShare, type ScreenShareState } from '../../media/screen-share.ts';
import { MediaNotices } from './media-notices.ts';

describe('What is said of the own media', () => {
  const line = signal<MediaLineState>({ kind: 'connected' });
  const share = signal<ScreenShareState>({ kind: 'off' });
  const slept = signal<Slept | undefined>(undefined);
  let soundSupported: boolean;

  function notices() {
    TestBed.configureTestingModule({
      providers: [
        {
          provide: ConferenceClient,
          useValue: { line, share, slept, stopScreen: () => share.set({ kind: 'off' }), answerSlept: () => undefined },
        },
        { provide: ScreenShare, useValue: { soundSupported } },
      ],
    });
    const fixture = TestBed.createComponent(MediaNotices);
    fixture.detectChanges();
    const root = fixture.nativeElement as HTMLElement;
    const text = (id: string): string | undefined => root.querySelector(`[data-testid=${id}]`)?.textContent?.trim();
    return { fixture, root, text };
  }

  beforeEach(() => {
    line.set({ kind: 'connected' });
    share.set({ kind: 'off' });
    slept.set(undefined);
    soundSupported = true;
  });

  const picture = (): MediaStreamTrack => {
    const [track] = document.createElement('canvas').captureStream().getVideoTracks();
    if (!track) throw new Error('nothing is captured');
    return track;
  };

  it('is nothing while all is well', () => expect(notices().root.textContent?.trim()).toBe(''));

  it('is that nothing gets through, until it does', () => {
    line.set({ kind: 'blocked', since: 1, cause: 'no-route' });
    const { text, fixture } = notices();
    expect(text('blocked-banner')).toContain('Sound and pictures do not get through from this computer.');
    line.set({ kind: 'connected' });
    fixture.detectChanges();
    expect(text('blocked-banner')).toBeUndefined();
  });

  it('is not the line while a nearer cause is told', () => {
    line.set({ kind: 'blocked', since: 1, cause: 'lost' });
    const { text, fixture } = notices();
    fixture.componentRef.setInput('quiet', true);
    fixture.detectChanges();
    expect(text('blocked-banner')).toBeUndefined();
  });

  it('is that the screen is shared, with a button that ends it', () => {
    share.set({ kind: 'sharing', picture: picture(), sound: picture() });
    const { text, root, fixture } = notices();
    expect(text('sharing-banner')).toContain('You are sharing your screen.');
    expect(text('sharing-silent')).toBeUndefined();
    root.querySelector<HTMLElement>('[data-testid=stop-sharing]')?.click();
    fixture.detectChanges();
    expect(text('sharing-banner')).toBeUndefined();
  });

  it('is that the sound of the screen is not shared, and whether the browser is the reason', () => {
    share.set({ kind: 'sharing', picture: picture(), sound: undefined });
    expect(notices().text('sharing-silent')).toBe('Its sound is not shared.');
    TestBed.resetTestingModule();
    soundSupported = false;
    expect(notices().text('sharing-silent')).toContain('this browser cannot share it');
  });

  it('is the question after sleep, about what was on', () => {
    slept.set({ devices: ['microphone'], screen: false });
    const { text, fixture } = notices();
    expect(text('slept-on')).toBe('Microphone on');
    expect(text('slept-off')).toBe('Leave off');
    slept.set({ devices: ['microphone', 'camera'], screen: true });
    fixture.detectChanges();
    expect(text('slept-on')).toBe('Camera and microphone on');
    slept.set({ devices: [], screen: true });
    fixture.detectChanges();
    expect(text('slept-on')).toBeUndefined();
    expect(text('slept-off')).toBe('Understood');
  });
});

import { TestBed } from '@angular/core/testing';
import { deviceProblem } from './device-problem.ts';
import { levelOf, watchLevel } from './level.ts';
import { LocalMedia } from './local-media.ts';

describe('The own camera and microphone', () => {
  let media: LocalMedia;

  beforeEach(() => {
    localStorage.removeItem('hansetag-devices');
    sessionStorage.removeItem('hansetag-devices-off');
    media = TestBed.inject(LocalMedia);
  });

  afterEach(() => media.release());

  it('open together and are named for the choice', async () => {
    await media.open();
    expect(media.camera().track?.readyState).toBe('live');
    expect(media.microphone().track?.readyState).toBe('live');
    expect(media.devices().some(({ kind, label }) => kind === 'videoinput' && label !== '')).toBeTrue();
  });

  it('are released when they are turned off, so that no light stays on', async () => {
    await media.turn('camera', true);
    const { track } = media.camera();
    await media.turn('camera', false);
    expect(track?.readyState).toBe('ended');
    expect(media.camera()).toEqual({ on: false, opening: false });
  });

  it('stay off in this tab when they were turned off, also when the page is loaded again or the meeting was left', async () => {
    await media.open();
    await media.turn('microphone', false);
    media.release();
    TestBed.resetTestingModule();
    media = TestBed.inject(LocalMedia);
    await media.open();
    expect(media.microphone()).toEqual({ on: false, opening: false });
    expect(media.camera().track?.readyState).toBe('live');
    await media.turn('microphone', true);
    media.release();
    await media.open();
    expect(media.microphone().track?.readyState).toBe('live');
  });

  it('do not stay off because a device failed: that was not what the person wanted', async () => {
    const spy = spyOn(navigator.mediaDevices, 'getUserMedia').and.rejectWith(new DOMException('', 'NotReadableError'));
    await media.open();
    expect(media.camera().on).toBeFalse();
    spy.and.callThrough();
    await media.open();
    expect(media.camera().on).toBeTrue();
  });

  it('do not come on late when they were turned off meanwhile', async () => {
    const opening = media.turn('camera', true);
    await media.turn('camera', false);
    await opening;
    expect(media.camera().track).toBeUndefined();
  });

  it('are not even asked for one by one when the wish was withdrawn while both were asked for', async () => {
    let refuse: (error: Error) => void = () => undefined;
    const asked = spyOn(navigator.mediaDevices, 'getUserMedia').and.callFake(
      () => new Promise((_resolve, reject) => (refuse = reject)),
    );
    const opening = media.open();
    media.release();
    refuse(new DOMException('in use', 'NotReadableError'));
    await opening;
    expect(asked).toHaveBeenCalledTimes(1);
    expect(media.camera()).toEqual({ on: false, opening: false });
  });

  it('are released when both are opened once more', async () => {
    await media.open();
    const { track } = media.camera();
    await media.open();
    expect(track?.readyState).toBe('ended');
    expect(media.camera().track?.readyState).toBe('live');
  });

  it('say what is wrong', async () => {
    spyOn(navigator.mediaDevices, 'getUserMedia').and.rejectWith(new DOMException('in use', 'NotReadableError'));
    await media.open();
    expect(media.camera().problem).toBe('busy');
    expect(media.microphone().problem).toBe('busy');
    expect(media.camera().on).toBeFalse();
  });

  it('remember the chosen device in this browser', async () => {
    await media.open();
    const device = media.devices().find(({ kind }) => kind === 'audioinput');
    await media.choose('microphone', device?.deviceId ?? '');
    expect(localStorage.getItem('hansetag-devices')).toContain(device?.deviceId ?? '-');
  });

  it('have a level that moves while there is sound', async () => {
    await media.turn('microphone', true);
    const { track } = media.microphone();
    if (!track) throw new Error('no microphone');
    const loudest = await new Promise<number>((resolve) => {
      let most = 0;
      const stop = watchLevel(track, (level) => {
        most = Math.max(most, level);
        if (most < 0.1) return;
        stop();
        resolve(most);
      });
    });
    expect(loudest).toBeGreaterThan(0.1);
  });
});

describe('Device problems', () => {
  it('are told apart by the name of the browser’s error', () => {
    const problem = (name: string) => deviceProblem(new DOMException('', name));
    expect(problem('NotAllowedError')).toBe('blocked');
    expect(problem('NotFoundError')).toBe('missing');
    expect(problem('NotReadableError')).toBe('busy');
    expect(problem('NotSupportedError')).toBe('unsupported');
    expect(problem('SomethingNew')).toBe('unknown');
    expect(deviceProblem('text')).toBe('unknown');
  });
});

describe('The level of a microphone', () => {
  it('is empty in silence, full when loud, and between in between', () => {
    expect(levelOf(0)).toBe(0);
    expect(levelOf(0.0001)).toBe(0);
    expect(levelOf(1)).toBe(1);
    expect(levelOf(0.02)).toBeCloseTo(0.52, 1);
  });
});

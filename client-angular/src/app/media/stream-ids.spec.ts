import { StreamIds } from './stream-ids.ts';

describe('The id of a media stream', () => {
  it('is the same for what belongs together, and another one for everything else', () => {
    const ids = new StreamIds();
    expect(ids.of('@a:x|D', 'camera')).toBe(ids.of('@a:x|D', 'microphone'));
    expect(ids.of('@a:x|D', 'screen')).toBe(ids.of('@a:x|D', 'screen-audio'));
    expect(ids.of('@a:x|D', 'screen')).not.toBe(ids.of('@a:x|D', 'camera'));
    expect(ids.of('@b:x|D', 'camera')).not.toBe(ids.of('@a:x|D', 'camera'));
  });

  it('holds nothing that another server chose', () => {
    const ids = new StreamIds();
    for (const hostile of ['@a:x|D\r\na=setup:active', '@a:x|a b', '']) {
      for (const source of ['camera', 'screen'] as const) expect(ids.of(hostile, source)).toMatch(/^[a-z]+-[0-9]+$/);
    }
  });
});

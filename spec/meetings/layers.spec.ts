import { parseSourceKey, sourceKey, spatialLayerFor } from '../../homeserver/meetings/conference/local-participant.ts';

describe('the simulcast layer of a tile', () => {
  it('is the smallest that is not soft in it', () => {
    expect(spatialLayerFor(120)).toBe(0);
    expect(spatialLayerFor(225)).toBe(0);
    expect(spatialLayerFor(226)).toBe(1);
    expect(spatialLayerFor(450)).toBe(1);
    expect(spatialLayerFor(720)).toBe(2);
  });

  it('is left to the SFU for sound', () => {
    expect(spatialLayerFor(undefined)).toBeUndefined();
  });
});

describe('the key of a source', () => {
  it('is read back whole, whatever stands in the device id', () => {
    const key = sourceKey('@a:b.example|DEVICE WITH SPACE', 'screen-audio');
    expect(parseSourceKey(key)).toEqual({ participantId: '@a:b.example|DEVICE WITH SPACE', source: 'screen-audio' });
  });
});

import { cameraEncodings } from './encodings.ts';

describe('Simulcast encodings of a camera', () => {
  const lines = (height: number) =>
    cameraEncodings(height).map(({ scaleResolutionDownBy }) => Math.round(height / (scaleResolutionDownBy ?? 1)));

  it('are 180, 360 and 720 lines, lowest first', () => {
    expect(lines(720)).toEqual([180, 360, 720]);
    expect(lines(1080)).toEqual([180, 360, 720]);
  });

  it('are fewer for a small camera and never enlarge', () => {
    expect(lines(480)).toEqual([180, 360, 480]);
    expect(lines(360)).toEqual([180, 360]);
    expect(lines(180)).toEqual([180]);
    expect(lines(120)).toEqual([120]);
  });

  it('grow in bit rate with the layer', () => {
    const rates = cameraEncodings(720).map(({ maxBitrate }) => maxBitrate ?? 0);
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
  });
});

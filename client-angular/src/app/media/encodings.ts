import type { types } from 'mediasoup-client';

/** Lines and bit rate (bit/s) of the simulcast layers, lowest first; the server counts on 180, 360 and 720 lines. */
const LAYERS = [
  { lines: 180, maxBitrate: 150_000 },
  { lines: 360, maxBitrate: 500_000 },
  { lines: 720, maxBitrate: 1_600_000 },
] as const;

/**
 * Simulcast encodings for a camera that gives this many lines. A small camera sends fewer layers, and never is a
 * picture enlarged.
 */
export function cameraEncodings(lines: number): types.RtpEncodingParameters[] {
  const height = Math.max(1, lines);
  const used = LAYERS.filter((_layer, index) => index === 0 || height > (LAYERS[index - 1]?.lines ?? 0) * 1.2);
  return used.map((layer) => ({
    maxBitrate: layer.maxBitrate,
    scaleResolutionDownBy: Math.max(1, height / layer.lines),
    scalabilityMode: 'L1T3',
  }));
}

/** A shared screen: sharp text before smooth motion. */
export function screenEncodings(): types.RtpEncodingParameters[] {
  return [{ maxBitrate: 2_500_000, maxFramerate: 15, scalabilityMode: 'L1T3' }];
}

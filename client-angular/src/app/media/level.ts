/** How loud a microphone is, for the level bar of the lobby. */

/**
 * @param listener called about 15 times a second with 0 (silence) to 1 (as loud as it gets)
 * @returns stops listening
 */
export function watchLevel(track: MediaStreamTrack, listener: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    // Refused before the first click, and when it was closed meanwhile: the bar stays empty then.
    if (context.state === 'suspended') context.resume().catch(() => undefined);
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    listener(levelOf(Math.sqrt(sum / samples.length)));
  }, 66);
  return () => {
    clearInterval(timer);
    if (context.state !== 'closed') context.close().catch(() => undefined);
  };
}

/** Maps an effective value (0 to 1) to a bar: -60 dB and below is empty, -10 dB and above is full. */
export function levelOf(effective: number): number {
  if (effective <= 0) return 0;
  const decibels = 20 * Math.log10(effective);
  return Math.min(1, Math.max(0, (decibels + 60) / 50));
}

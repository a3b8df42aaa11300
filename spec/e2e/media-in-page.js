/** What specs of media ask of a page. Runs in the page, before it does, so that all of its connections are known. */
const connections = [];
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) {
    super(...args);
    connections.push(this);
  }
};

/** What is received is looked at so often, in ms. */
const LOOK_EVERY_MS = 20;
/** Sound of two receivers within this time, twice in a row, is sound of both at once, in ms. */
const AT_ONCE_MS = 100;

globalThis.hansetagMedia = {
  /** Looks at what is received, and at the sound that is played. */
  async look(lastsMs) {
    const start = performance.now();
    const seen = { pictures: 0, longestGapMs: 0, playedAtOnce: 0, receivedTwice: 0 };
    const counts = new Map();
    const receivers = new Set();
    let pictureAt;
    let sound = new Set();
    let before = 0;
    let soundAt = start;
    for (let now = start; now - start < lastsMs; now = performance.now()) {
      seen.playedAtOnce = Math.max(seen.playedAtOnce, mostTracksPlayed());
      const grown = await received(counts);
      now = performance.now();
      const pictures = grown.filter(({ kind }) => kind === 'video').reduce((sum, { by }) => sum + by, 0);
      if (pictures > 0) {
        if (pictureAt !== undefined) seen.longestGapMs = Math.max(seen.longestGapMs, now - pictureAt);
        pictureAt = now;
        seen.pictures += pictures;
      }
      for (const { kind, id } of grown) if (kind === 'audio') sound.add(id);
      if (now - soundAt >= AT_ONCE_MS) {
        for (const id of sound) receivers.add(id);
        // In the moment of the change both have got something.
        if (sound.size > 1 && before > 1) seen.receivedTwice += 1;
        before = sound.size;
        sound = new Set();
        soundAt = now;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return { ...seen, soundReceivers: [...receivers] };
  },
};

/** Of whoever has most: how many tracks of sound are played. */
function mostTracksPlayed() {
  const tracks = new Map();
  for (const audio of document.querySelectorAll('audio[data-participant-id]')) {
    const id = audio.dataset.participantId;
    const played = audio.srcObject && !audio.paused ? audio.srcObject.getAudioTracks().length : 0;
    tracks.set(id, (tracks.get(id) ?? 0) + played);
  }
  return Math.max(0, ...tracks.values());
}

/** What has come since the last look: packets of sound, and pictures that were decoded, of each receiver. */
async function received(counts) {
  const grown = [];
  for (const connection of connections) {
    if (connection.connectionState === 'closed') continue;
    for (const { type, kind, id, packetsReceived, framesDecoded } of (await connection.getStats()).values()) {
      if (type !== 'inbound-rtp') continue;
      const count = (kind === 'video' ? framesDecoded : packetsReceived) ?? 0;
      const by = count - (counts.get(id) ?? count);
      counts.set(id, count);
      if (by > 0) grown.push({ kind, id, by });
    }
  }
  return grown;
}

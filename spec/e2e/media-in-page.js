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
    const endPictures = watchPictures(seen);
    let sound = new Set();
    let before = 0;
    let soundAt = start;
    for (let now = start; now - start < lastsMs; now = performance.now()) {
      seen.playedAtOnce = Math.max(seen.playedAtOnce, mostTracksPlayed());
      for (const id of await soundReceived(counts)) sound.add(id);
      now = performance.now();
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
    endPictures();
    return { ...seen, soundReceivers: [...receivers] };
  },
};

/**
 * Counts the pictures of the other that are shown, and the longest time between two, by the browser's own times: what is
 * asked of a connection waits while it is negotiated anew.
 *
 * @returns a function that ends it
 */
function watchPictures(seen) {
  let shownAt;
  let ended = false;
  const shownAgain = (at) => {
    if (shownAt !== undefined) seen.longestGapMs = Math.max(seen.longestGapMs, at - shownAt);
    shownAt = at;
  };
  for (const video of document.querySelectorAll('ht-tile video:not(.mirror)')) {
    const shown = (_now, { presentationTime }) => {
      if (ended) return;
      shownAgain(presentationTime);
      seen.pictures += 1;
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  }
  return () => {
    ended = true;
    shownAgain(performance.now());
  };
}

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

/** The receivers of sound that have got packets since the last look. */
async function soundReceived(counts) {
  const grown = [];
  for (const connection of connections) {
    if (connection.connectionState === 'closed') continue;
    for (const { type, kind, id, packetsReceived = 0 } of (await connection.getStats()).values()) {
      if (type !== 'inbound-rtp' || kind !== 'audio') continue;
      if (packetsReceived > (counts.get(id) ?? packetsReceived)) grown.push(id);
      counts.set(id, packetsReceived);
    }
  }
  return grown;
}

/** What specs of media ask of a page. Runs in the page, before it does, so that all of its connections are known. */
const connections = [];
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) {
    super(...args);
    connections.push(this);
    this.addEventListener('track', ({ track }) => {
      if (track.kind === 'video') countDecoded(track.clone());
    });
  }
};

/** To encode and decode large pictures for two pages makes gaps of its own on two cores. */
const { mediaDevices } = navigator;
const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
mediaDevices.getUserMedia = ({ video, ...others } = {}) =>
  getUserMedia({
    ...others,
    ...(typeof video === 'object' ? { video: { ...video, width: 320, height: 180 } } : { video }),
  });

/** Who looks is told of each picture that is decoded, of whichever track. */
const onDecoded = new Set();

async function countDecoded(track) {
  const pictures = new MediaStreamTrackProcessor({ track }).readable.getReader();
  for (let next = await pictures.read(); !next.done; next = await pictures.read()) {
    next.value.close();
    for (const told of onDecoded) told();
  }
}

/** What is received is looked at so often, in ms. */
const LOOK_EVERY_MS = 50;
/** Sound of two receivers within this time, twice in a row, is sound of both at once, in ms. */
const AT_ONCE_MS = 100;

globalThis.hansetagMedia = {
  /** Looks at what is received, and at the sound that is played. */
  async look(lastsMs) {
    const start = performance.now();
    const seen = { pictures: 0, playedAtOnce: 0, receivedTwice: 0 };
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
 * Measures the longest times without a picture that was decoded, and without one that was shown, each by the times of the
 * pictures themselves: what is asked of a connection waits while that is negotiated anew.
 *
 * @returns a function that ends it
 */
function watchPictures(seen) {
  const decoded = longestGap();
  const shown = longestGap();
  const onPicture = () => {
    decoded.at(performance.now());
    seen.pictures += 1;
  };
  onDecoded.add(onPicture);
  let ended = false;
  for (const video of document.querySelectorAll('ht-tile video:not(.mirror)')) {
    const onShown = (_now, { presentationTime }) => {
      if (ended) return;
      shown.at(presentationTime);
      video.requestVideoFrameCallback(onShown);
    };
    video.requestVideoFrameCallback(onShown);
  }
  return () => {
    ended = true;
    onDecoded.delete(onPicture);
    for (const gap of [decoded, shown]) gap.at(performance.now());
    seen.longestGapMs = decoded.longestMs();
    seen.longestShownGapMs = shown.longestMs();
  };
}

function longestGap() {
  let longest = 0;
  let last;
  return {
    at: (time) => {
      if (last !== undefined) longest = Math.max(longest, time - last);
      last = time;
    },
    longestMs: () => longest,
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

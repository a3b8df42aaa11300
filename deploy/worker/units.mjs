/**
 * Which sources of the worker are compiled together. Nearly every source includes the same headers of mediasoup, of the
 * standard library and of flatbuffers, and reading them is most of the work of a compiler that gets one source at a
 * time. So some twenty sources are put into one unit (a "unity build").
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** More units take more time altogether, fewer of them leave cores idle. */
const UNITS = 10;
const LIBWEBRTC = 'deps/libwebrtc/';
const BWE = `${LIBWEBRTC}libwebrtc/modules/congestion_controller/goog_cc/`;

/** Sources that use a name at file level for another thing than a source of their neighbourhood: units of their own. */
const APART = [
  [
    'src/DepLibWebRTC.cpp',
    'src/RTC/BWE/TargetRateController.cpp',
    'src/RTC/PlainTransport.cpp',
    'src/RTC/RTCP/Feedback.cpp',
    'src/RTC/RTP/RtxStream.cpp',
    'src/RTC/SCTP/association/TransmissionControlBlock.cpp',
    'src/RTC/SvcProducerStreamManager.cpp',
    'src/RTC/TransportCongestionControlServer.cpp',
    'src/RTC/WebRtcTransport.cpp',
    'src/Settings.cpp',
    'src/handles/TcpServerHandle.cpp',
    'src/handles/UdpSocketHandle.cpp',
  ],
  ['src/RTC/BWE/LossBasedController.cpp', 'src/RTC/PortManager.cpp', 'src/handles/UnixStreamSocketHandle.cpp'],
  [`${BWE}delay_based_bwe.cc`, `${BWE}trendline_estimator.cc`],
];

/** The sources are not those that we know: mediasoup changed, and the lists of this module need a new look. */
export class SourcesError extends Error {
  constructor(message) {
    super(`${message} This version of mediasoup needs a new look at deploy/worker/units.mjs.`);
    this.name = 'SourcesError';
    this.code = 'UNKNOWN_SOURCES';
  }
}

/**
 * The units, each a list of paths relative to the worker's folder. The lists of sources are upstream's own, from its
 * meson.build, without its tests and fuzzers.
 *
 * @throws SourcesError
 */
export function workerUnits(workerDir) {
  const meson = readFileSync(join(workerDir, 'meson.build'), 'utf8');
  const lists = [...meson.matchAll(/^ *common_sources \+?= \[\n(.*?)\n *\]/gms)].map((match) => match[1]);
  const bwe = readFileSync(join(workerDir, LIBWEBRTC, 'meson.build'), 'utf8');
  const worker = ['src/main.cpp', ...quoted(lists.join('\n'), /'(src\/.*\.cpp)'/g)];
  const libwebrtc = quoted(bwe, /^ *'(libwebrtc\/.*\.cc)'/gm).map((source) => `${LIBWEBRTC}${source}`);
  if (worker.length < 2 || libwebrtc.length === 0) throw new SourcesError('The list of sources has another form.');

  const apart = new Set(APART.flat());
  const unknown = [...apart].filter((source) => !worker.includes(source) && !libwebrtc.includes(source));
  if (unknown.length > 0) throw new SourcesError(`These sources are gone: ${unknown.join(', ')}.`);

  const size = (source) => statSync(join(workerDir, source)).size;
  const total = [...worker, ...libwebrtc].reduce((sum, source) => sum + size(source), 0);
  const units = [worker, libwebrtc].flatMap((sources) => {
    const together = sources.filter((source) => !apart.has(source));
    return chunks(together, size, total / UNITS);
  });
  return [...units, ...APART];
}

/**
 * Writes `units/<number>.cpp` for each unit. Paths in them are relative to the build folder; a source is taken from
 * `patched/` if it is there.
 *
 * @param isPatched whether there is a changed copy of a source
 * @returns the number of units
 */
export function writeUnits(workerDir, buildDir, isPatched) {
  const units = workerUnits(workerDir);
  const folder = join(buildDir, 'units');
  mkdirSync(folder, { recursive: true });
  units.forEach((sources, index) => {
    // Each source says by this macro what its log messages belong to.
    const lines = sources.map(
      (source) => `#undef MS_CLASS\n#include "${isPatched(source) ? 'patched' : 'worker'}/${source}"\n`,
    );
    writeIfChanged(join(folder, `${String(index)}.cpp`), lines.join(''));
  });
  return units.length;
}

/** A file that is right already keeps its time, so that a continued build does not compile it again. */
export function writeIfChanged(file, text) {
  let before;
  try {
    before = readFileSync(file, 'utf8');
  } catch {
    // There is none yet.
  }
  if (before !== text) writeFileSync(file, text);
}

function quoted(text, pattern) {
  return [...text.matchAll(pattern)].map((match) => match[1]);
}

/** Cuts a list into pieces that are a little larger than `limit`, but for the last one. */
function chunks(sources, size, limit) {
  const result = [];
  let room = 0;
  for (const source of sources) {
    if (room <= 0) {
      result.push([]);
      room = limit;
    }
    result.at(-1).push(source);
    room -= size(source);
  }
  return result;
}

/**
 * Builds the mediasoup worker from the sources in the npm package and keeps it in a cache outside node_modules.
 *
 * We always build it, also where upstream's binary could be downloaded: one path for all machines, no binary from
 * elsewhere, and our fixes (patches.mjs) are in it. Plain Node 20 without dependencies, because it runs before
 * anything else is set up. From the command line: node deploy/worker/build.mjs [mediasoup folder]
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDir as defaultCacheDir } from '../cache.mjs';
import { lock } from '../quickstart/lock.mjs';
import { runProgram } from '../quickstart/program.mjs';
import { applyPatches } from './patches.mjs';
import { writeUnits } from './units.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));

/** Everything in this folder that decides how the binary comes out. */
const INPUTS = ['Makefile', 'patches.mjs', 'units.mjs', 'include/srtp.h', 'include/ankerl/unordered_dense.h'];

/** What a package brings that the build looks for: a program or a header. */
const NEEDED = [
  { package: 'g++', program: 'g++' },
  { package: 'make', program: 'make' },
  { package: 'flatbuffers-compiler', program: 'flatc' },
  { package: 'libflatbuffers-dev', header: 'flatbuffers/flatbuffers.h' },
  { package: 'libuv1-dev', header: 'uv.h' },
  { package: 'libssl-dev', header: 'openssl/ssl.h' },
  { package: 'libsrtp2-dev', header: 'srtp2/srtp.h' },
  { package: 'libabsl-dev', header: 'absl/types/optional.h' },
];

/** The Debian packages that the build needs. */
export const WORKER_DEBIAN_PACKAGES = NEEDED.map((need) => need.package);

/** One compiler process takes up to this many bytes. */
const BYTES_PER_JOB = 1_200_000_000;
/** What a build takes of one core of a server of 2023, in seconds; measured with g++ 12. */
const BUILD_CORE_SECONDS = 180;
const LINES_KEPT = 40;

/** The worker can not be built. The message is meant for the person at the terminal. */
export class WorkerBuildError extends Error {
  /** @param code PACKAGES_MISSING, NO_CACHE, BUILD_FAILED or DOES_NOT_START */
  constructor(code, message) {
    super(message);
    this.name = 'WorkerBuildError';
    this.code = code;
  }
}

/**
 * The absolute path that the worker of this mediasoup has in the cache, whether it is there or not.
 *
 * The name holds mediasoup's version, the processor architecture, and a hash of our build files and of the operating
 * system's release, because the binary is linked to that release's libraries.
 */
export function workerCachePath({ mediasoupDir, cacheDir = defaultCacheDir() }) {
  const { version } = JSON.parse(readFileSync(join(mediasoupDir, 'package.json'), 'utf8'));
  const hash = createHash('sha256');
  for (const input of INPUTS) {
    hash
      .update(`${input}\0`)
      .update(readFileSync(join(HERE, input)))
      .update('\0');
  }
  hash.update(operatingSystem());
  return join(resolve(cacheDir), `mediasoup-worker-${version}-${process.arch}-${hash.digest('hex').slice(0, 16)}`);
}

/**
 * The path of the worker's binary, which is built first if the cache does not have it. That takes some minutes; it
 * may be interrupted and goes on from there when called again. If another process is building the same, this waits.
 *
 * @param onProgress called with `{ phase, compiled, total }`; phase is 'waiting' (for another process), 'compiling' or
 *   'linking', the others are numbers of units.
 * @throws WorkerBuildError, or PatchError or SourcesError if this mediasoup's sources are not those that we know.
 */
export async function workerBinary({ mediasoupDir, cacheDir = defaultCacheDir(), onProgress = () => {} }) {
  const binary = workerCachePath({ mediasoupDir, cacheDir });
  if (isExecutable(binary)) {
    return binary;
  }
  checkPackages();
  makeCache(dirname(binary));
  const unlock = await lock(`${binary}.lock`, () => onProgress({ phase: 'waiting', compiled: 0, total: 0 }));
  try {
    if (!isExecutable(binary)) {
      await build(join(resolve(mediasoupDir), 'worker'), binary, onProgress);
    }
  } finally {
    await unlock();
  }
  return binary;
}

async function build(workerDir, binary, onProgress) {
  const buildDir = `${binary}.build`;
  mkdirSync(buildDir, { recursive: true });
  const patched = applyPatches(workerDir, join(buildDir, 'patched'));
  const total = writeUnits(workerDir, buildDir, (source) => patched.includes(source));
  // Links, because make can not handle paths with spaces.
  link(workerDir, join(buildDir, 'worker'));
  link(join(HERE, 'include'), join(buildDir, 'shims'));

  const objects = Array.from({ length: total }, (_, index) => join(buildDir, `objects/${String(index)}.o`));
  let compiled = objects.filter((object) => existsSync(object)).length;
  const report = () => onProgress({ phase: compiled < total ? 'compiling' : 'linking', compiled, total });
  report();

  const lastLines = [];
  const { code } = await runProgram('make', ['-f', join(HERE, 'Makefile'), `-j${jobs()}`], {
    cwd: buildDir,
    env: {
      CCACHE_DIR: join(dirname(binary), 'ccache'),
      ...process.env,
      // The C locale, so that the compiler's words are those that describeFailure knows.
      LC_ALL: 'C',
      MAKEFLAGS: '',
    },
    onLine: (line) => {
      if (line.startsWith('compiled ')) {
        compiled = Math.min(compiled + 1, total);
        report();
      } else {
        lastLines.push(line);
        lastLines.splice(0, lastLines.length - LINES_KEPT);
      }
    },
  });
  if (code !== 0) {
    throw new WorkerBuildError('BUILD_FAILED', describeFailure(lastLines, buildDir));
  }

  const built = join(buildDir, 'mediasoup-worker');
  // Called without mediasoup's environment the worker ends at once with exit code 41, which shows that it starts.
  const started = spawnSync(built, { env: {}, encoding: 'utf8' });
  if (started.status !== 41) {
    throw new WorkerBuildError('DOES_NOT_START', `The worker was built but does not start.\n${started.stderr}`);
  }
  renameSync(built, binary);
  rmSync(buildDir, { recursive: true, force: true });
}

function makeCache(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new WorkerBuildError(
      'NO_CACHE',
      `The media worker can not be kept in ${folder} (${error.code}). HANSETAG_CACHE can name another folder for it.`,
    );
  }
}

function link(target, path) {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

/** About how long a build from nothing takes on this machine, in ms, and on how many cores. */
export function buildEstimate() {
  const cores = jobs();
  return { ms: (BUILD_CORE_SECONDS * 1000) / cores, cores };
}

/** As many jobs as there are cores, but no more than the memory carries. */
function jobs() {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(totalmem() / BYTES_PER_JOB)));
}

/**
 * Fails if a program or a header of one of the packages is not there, naming all that are missing in one message
 * rather than after minutes of compiling.
 */
function checkPackages() {
  const missing = NEEDED.filter(({ program }) => program !== undefined && !isOnPath(program));
  if (isOnPath('g++')) {
    const headers = NEEDED.filter(({ header }) => header !== undefined);
    const source = headers.map(({ header }, i) => `#if !__has_include(<${header}>)\nmissing ${i}\n#endif\n`).join('');
    const { stdout } = spawnSync('g++', ['-E', '-x', 'c++', '-'], { input: source, encoding: 'utf8' });
    missing.push(...headers.filter((_, i) => stdout.split('\n').includes(`missing ${i}`)));
  }
  if (missing.length > 0) {
    const names = missing.map((need) => need.package).join(' ');
    throw new WorkerBuildError(
      'PACKAGES_MISSING',
      `Building the media worker needs Debian packages that are not installed: ${names}\n` +
        `Install them with: apt-get install --no-install-recommends ${names}`,
    );
  }
}

/** The end of the compiler's output, with what it probably means. */
function describeFailure(lastLines, buildDir) {
  const output = lastLines.join('\n');
  const library = /cannot find -l(\w+)/.exec(output)?.[1];
  const hints = [];
  if (library !== undefined) {
    const name = library.replace(/^(absl).*/, 'absl').replace(/^crypto$/, 'ssl');
    const found = WORKER_DEBIAN_PACKAGES.filter((candidate) => candidate.startsWith(`lib${name}`));
    hints.push(`The library ${library} is missing; it is in the Debian package ${found.join(' ') || 'of that name'}.`);
  }
  const header = /fatal error: ([^\s:]+): No such file/.exec(output)?.[1];
  if (header !== undefined) {
    const need = NEEDED.find((candidate) => candidate.header?.split('/')[0] === header.split('/')[0]);
    hints.push(`The header ${header} is missing${need ? `; it is in the Debian package ${need.package}` : ''}.`);
  }
  if (/Killed signal|signal 9|internal compiler error/.test(output)) {
    hints.push('The compiler was ended from outside, probably because the memory did not suffice.');
  }
  if (/No space left/.test(output)) {
    hints.push(`The disk with ${buildDir} is full.`);
  }
  return `The media worker could not be built. The end of the compiler's output:\n${output}\n${hints.join('\n')}`;
}

/** The release of the operating system, such as `debian 12`; empty where it is not said (os-release(5)). */
function operatingSystem() {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    return [/^ID=(.*)$/m, /^VERSION_ID=(.*)$/m].map((field) => field.exec(text)?.[1] ?? '').join(' ');
  } catch {
    return '';
  }
}

function isOnPath(program) {
  return (process.env.PATH ?? '').split(':').some((folder) => isExecutable(join(folder || '.', program)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const mediasoupDir = process.argv[2] ?? join(HERE, '../../node_modules/mediasoup');
  try {
    const onProgress = ({ phase, compiled, total }) => process.stderr.write(`${phase} ${compiled}/${total}\n`);
    process.stdout.write(`${await workerBinary({ mediasoupDir, onProgress })}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

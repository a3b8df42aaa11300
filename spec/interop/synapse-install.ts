/** Synapse, the homeserver that most of the federation runs, installed once for each machine. */
import { randomBytes } from 'node:crypto';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from '../../deploy/cache.mjs';
import { installPackages, missingPackages } from '../../deploy/quickstart/debian-packages.mjs';
import { lock } from '../../deploy/quickstart/lock.mjs';
import { runProgram } from '../../deploy/quickstart/program.mjs';

const VERSION = '1.163.2';
const PACKAGES = [`matrix-synapse==${VERSION}`, 'psycopg2-binary'];
const DEBIAN_PACKAGES = ['python3', 'python3-venv'];

/**
 * The Python of a virtual environment with Synapse in it, which is made first if the cache does not have it.
 *
 * @returns the absolute path of the interpreter
 * @throws Error with pip's output when it can not be installed
 */
export async function synapsePython(): Promise<string> {
  const folder = join(cacheDir(), `synapse-${VERSION}-${process.arch}`);
  const python = join(folder, 'bin/python');
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return python;
  const unlock = await lock(`${folder}.lock`, () => console.log('  Another process installs Synapse.'));
  try {
    if (existsSync(complete)) return python;
    console.log(`  Synapse ${VERSION} is installed (once for each machine).`);
    // What an interrupted attempt left is moved away first, so that nobody takes it for whole.
    if (existsSync(folder)) {
      const old = `${folder}.${randomBytes(4).toString('hex')}`;
      renameSync(folder, old);
      rmSync(old, { recursive: true, force: true });
    }
    if ((await runProgram('python3', ['-m', 'venv', folder])).code !== 0) {
      await installPackages(missingPackages(DEBIAN_PACKAGES), () => undefined);
      await must('python3', ['-m', 'venv', '--clear', folder]);
    }
    await must(python, ['-m', 'pip', 'install', '--quiet', '--prefer-binary', ...PACKAGES]);
    writeFileSync(complete, '');
    return python;
  } finally {
    await unlock();
  }
}

async function must(program: string, args: readonly string[]): Promise<void> {
  const { code, output } = await runProgram(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${output}`);
}

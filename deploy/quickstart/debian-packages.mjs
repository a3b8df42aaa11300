/** Debian packages that are missing: installed when root, else the person is told the command. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { SetUpError } from './progress.mjs';
import { runProgram } from './program.mjs';

/**
 * Those of the packages that are not installed.
 *
 * @param packages names of Debian packages
 */
export function missingPackages(packages) {
  const { status, stdout } = spawnSync('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...packages], {
    encoding: 'utf8',
  });
  if (status === null) return [];
  const installed = new Set(
    stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return packages.filter((name) => !installed.has(name));
}

/**
 * Installs packages with apt-get.
 *
 * @throws SetUpError with the command to run, when this process may not install, or apt-get's output when it fails
 */
export async function installPackages(packages, progress) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (!existsSync('/usr/bin/apt-get')) {
    throw new SetUpError(`These packages are needed, by their names in Debian: ${packages.join(' ')}`);
  }
  if (process.getuid() !== 0) {
    throw new SetUpError(`Debian packages are missing. Install them, then start again:\n\n  sudo ${command}\n`);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const apt = (args) =>
    runProgram('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { env, onLine: (line) => progress(line) });
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  // The lists of packages may be absent or old; then the first attempt fails.
  let result = await apt(install);
  if (result.code !== 0) {
    await apt(['update']);
    result = await apt(install);
  }
  if (result.code !== 0) {
    throw new SetUpError(`${result.output}\nThe packages could not be installed. The command was: ${command}`);
  }
}

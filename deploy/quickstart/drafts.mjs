/**
 * Files and folders that appear under their name when they are whole, whoever else makes them at the same time. A draft
 * has a name that nobody else can have: process ids are the same in all containers, and for all parts of a process.
 * Plain Node 20, without dependencies.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { lock } from './lock.mjs';

const MARK = '.draft-';

/** Gives a file its text, in place of what it had. */
export async function writeWhole(file, text, { mode = 0o600 } = {}) {
  const draft = draftOf(file);
  try {
    await writeFile(draft, text, { mode, flag: 'wx', flush: true });
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Makes a folder if it is not there. Who comes while another one makes it waits for that.
 *
 * @param make makes it under the name that it is given
 */
export async function makeFolderOnce(folder, make) {
  if (existsSync(folder)) return;
  await mkdir(dirname(folder), { recursive: true });
  const unlock = await lock(`${folder}.lock`, () => undefined);
  try {
    if (existsSync(folder)) return;
    await removeDrafts(folder);
    const draft = draftOf(folder);
    try {
      await make(draft);
      await rename(draft, folder);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  } finally {
    await unlock();
  }
}

/** What those who were killed left. */
async function removeDrafts(path) {
  const start = `${basename(path)}${MARK}`;
  const drafts = readdirSync(dirname(path)).filter((name) => name.startsWith(start));
  for (const name of drafts) await rm(join(dirname(path), name), { recursive: true, force: true });
}

function draftOf(path) {
  return `${path}${MARK}${randomBytes(8).toString('hex')}`;
}

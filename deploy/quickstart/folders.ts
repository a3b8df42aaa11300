/** Where the demonstration keeps its data and its sockets. */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isRoot } from '../postgres/identity.ts';
import { DEFAULT_BASE_PORT } from './layout.ts';
import type { ProviderKind } from './layout.ts';

export const ROOT = resolve(import.meta.dirname, '../..');
/** By default root's data is here, because PostgreSQL's user must reach it, which a clone in root's home would not allow. */
const SYSTEM_DATA = '/var/lib/hansetag';
/** Paths of sockets are short (107 bytes), so they are not in the clone. */
const SOCKETS = '/tmp';
const HASH_LENGTH = 12;

/**
 * Where data is kept unless somebody says otherwise. Each clone and each port has its own. HANSETAG_DATA, if it is set,
 * is the folder of all of them.
 */
export function defaultDataDir(basePort: number, provider: ProviderKind = 'light'): string {
  // People of another provider are other people.
  const end = provider === 'light' ? '' : `-${provider}`;
  const parent = process.env['HANSETAG_DATA'] || (isRoot() ? SYSTEM_DATA : undefined);
  if (parent !== undefined) return join(resolve(parent), hash(`${ROOT} ${String(basePort)}`) + end);
  return join(ROOT, 'var', (basePort === DEFAULT_BASE_PORT ? 'demo' : `demo-${String(basePort)}`) + end);
}

/** Makes a folder whose content only those find who know its name: PostgreSQL's user has to pass through it. */
export function makePassage(path: string): string {
  const first = mkdirSync(path, { recursive: true });
  // Also those above that were not there, whatever the user's mask.
  for (let made = path; first !== undefined && made.startsWith(first); made = dirname(made)) chmodSync(made, 0o711);
  chmodSync(path, 0o711);
  return path;
}

/**
 * Makes the folder for the sockets of the demonstration with this data.
 *
 * @throws Error if the name is taken by somebody else, who could then sit between the processes
 */
export function makeSocketDir(dataDir: string): string {
  const path = join(SOCKETS, `hansetag-${hash(dataDir)}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) throw new Error(`${path} belongs to somebody else.`);
  chmodSync(path, 0o700);
  return path;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_LENGTH);
}

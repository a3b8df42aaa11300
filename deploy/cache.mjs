/**
 * Where things are kept that are made once for each machine: the media worker, the programs of PostgreSQL, and Synapse
 * for specs. HANSETAG_CACHE, if it is set, is the folder of all of them. Plain Node 20, without dependencies.
 */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** The folder for all that only its own user uses: by default ~/.cache/hansetag, as the XDG specification has it. */
export function cacheDir() {
  const { HANSETAG_CACHE, XDG_CACHE_HOME } = process.env;
  if (HANSETAG_CACHE) return resolve(HANSETAG_CACHE);
  // A path that is not absolute is to be ignored (XDG Base Directory Specification, section 2).
  const parent = XDG_CACHE_HOME && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(parent, 'hansetag');
}

/** The folder for what root makes and PostgreSQL's user runs, who can not enter root's home. */
export function sharedCacheDir() {
  return process.env.HANSETAG_CACHE ? cacheDir() : '/var/cache/hansetag';
}

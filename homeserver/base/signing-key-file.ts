/**
 * The file with the secrets of the server's signing keys. A line for each key, in any order:
 *
 *     ed25519 <version> <seed in base64>
 *     ed25519 <version> <seed in base64> from <time>
 *     ed25519 <version> public:<public key in base64> from <time>
 *
 * A key signs from its time until that of the next one. The third form is what is left of a key whose secret was
 * removed because it signs no more. A time is written `2026-12-01T08:00:00Z`.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { OwnKeys, LEAVING_MS } from '../../federation/own-keys.ts';
import type { KeyTurn } from '../../federation/own-keys.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { FollowedFiles } from './followed-files.ts';
import { secretFile } from './secret-file.ts';
import { SECRET_MODE, writeWhole } from './whole-files.ts';

/** Thrown when the file has no valid key. The message never contains its content. */
export class SigningKeyFileError extends Error {
  override readonly name = 'SigningKeyFileError';
  readonly code = 'SIGNING_KEY_FILE';
}

interface Line extends KeyTurn {
  readonly seed?: string;
}

const LINE =
  /^ed25519 (?<version>[a-zA-Z0-9_]+) (?:public:(?<publicKey>[A-Za-z0-9+/]{43})=?|(?<seed>[A-Za-z0-9+/]{43}=?))(?: from (?<from>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ))?$/;
/** Others read no more old keys than about this of one server. */
const MAX_LINES = 100;
const NONE_SIGNS = 'None of them signs now.';

/** The keys of the file, followed while the server runs. */
export interface SigningKeyFile {
  readonly keys: OwnKeys;
  /**
   * Reads the file again if it has changed, and lets the key sign whose turn it is. A file that became malformed is
   * logged, and the keys from before stay in use.
   */
  look(): Promise<void>;
}

/**
 * Reads the signing keys, or makes one if there is no file, readable by its owner only.
 *
 * @throws SigningKeyFileError when the file is malformed; it is never overwritten, because rooms contain
 *   signatures by the old key
 */
export async function openSigningKeys(file: string, log: Logger): Promise<SigningKeyFile> {
  await secretFile(file, () => lineOf(newKey(-Infinity)));
  let keys: OwnKeys | undefined;
  const files = new FollowedFiles([file], ([text = '']) => {
    if (keys === undefined) keys = readSigningKeys(file, text);
    else replaceKeys(keys, file, text);
  });
  await files.look();
  if (keys === undefined) throw wrong(file, 'It could not be read.');
  const opened = keys;
  return {
    keys: opened,
    look: async () => {
      const before = opened.keyId;
      try {
        await files.look();
      } catch (error) {
        log.error({ err: error }, 'the changed signing keys cannot be used, those from before stay in use');
      }
      opened.choose();
      if (opened.keyId !== before) log.info({ before, now: opened.keyId }, 'another signing key signs from now on');
    },
  };
}

/** The keys of a file that was read. @throws SigningKeyFileError */
export function readSigningKeys(file: string, text: string): OwnKeys {
  const turns = readLines(file, text);
  try {
    return new OwnKeys(turns);
  } catch {
    throw wrong(file, NONE_SIGNS);
  }
}

function replaceKeys(keys: OwnKeys, file: string, text: string): void {
  const turns = readLines(file, text);
  try {
    keys.replace(turns);
  } catch {
    throw wrong(file, NONE_SIGNS);
  }
}

/** What a roll-over has done. */
export interface RolledKey {
  /** Id of the key that signs until then. */
  readonly before: string;
  readonly next: string;
  /** Unix ms, in whole seconds. */
  readonly from: number;
}

/**
 * Makes the next signing key and writes it into the file, which a running server reads again by itself. The secrets of
 * keys that sign no more are removed.
 *
 * @param from when it begins to sign, Unix ms
 * @throws SigningKeyFileError when the file is malformed, or another key is to follow already; nothing is changed then
 */
export async function rollSigningKey(file: string, from: number, now = Date.now()): Promise<RolledKey> {
  const text = await secretFile(file, () => lineOf(newKey(-Infinity)));
  const lines = readLines(file, text).toSorted((a, b) => a.from - b.from);
  const before = lines.findLast((line) => line.from <= now);
  if (before === undefined) throw wrong(file, NONE_SIGNS);
  const waiting = lines.find((line) => line.from > now);
  if (waiting) {
    throw new SigningKeyFileError(
      `${waiting.keyId} is the next key already and signs from ${timeOf(waiting.from)}. ` +
        `Wait until then, or change the time in its line in ${file}.`,
    );
  }
  if (lines.length >= MAX_LINES) throw wrong(file, `It has ${String(lines.length)} keys, and there can be no more.`);
  const next = newKey(Math.floor(from / 1000) * 1000);
  const all = [...lines, next];
  const kept = all.map((line, index) => {
    const end = all[index + 1]?.from ?? Infinity;
    return end + LEAVING_MS <= now ? withoutSecret(line) : line;
  });
  await writeWhole(file, kept.map(lineOf).join(''), SECRET_MODE);
  return { before: before.keyId, next: next.keyId, from: next.from };
}

function readLines(file: string, text: string): Line[] {
  const rows = text.split('\n').map((row) => row.trim());
  const filled = rows.filter((row) => row !== '');
  if (filled.length === 0) throw wrong(file, 'It is empty.');
  if (filled.length > MAX_LINES) throw wrong(file, `It has more than ${String(MAX_LINES)} lines.`);
  const lines = filled.map((row) => readLine(file, row, rows.indexOf(row) + 1));
  if (new Set(lines.map(({ keyId }) => keyId)).size < lines.length) {
    throw wrong(file, 'Two of its keys have the same version.');
  }
  if (lines.filter(({ from }) => from === -Infinity).length > 1) {
    throw wrong(file, 'Only the first key can be without the time from which it signs.');
  }
  return lines;
}

function readLine(file: string, row: string, number: number): Line {
  const { version, seed, publicKey, from } = LINE.exec(row)?.groups ?? {};
  if (version === undefined) throw wrong(file, `Line ${String(number)} is not "ed25519 <version> <seed>".`);
  const begins = from === undefined ? -Infinity : Date.parse(from);
  if (Number.isNaN(begins)) throw wrong(file, `The time in line ${String(number)} does not exist.`);
  if (seed === undefined) return { from: begins, keyId: `ed25519:${version}`, publicKey: publicKey ?? '' };
  return secretLine(version, seed, begins);
}

function newKey(from: number): Line {
  return secretLine(`a_${randomBytes(3).toString('hex')}`, generateSeed(), from);
}

function secretLine(version: string, seed: string, from: number): Line {
  const key = createSigningKey(seed, version);
  return { from, keyId: key.keyId, publicKey: key.publicKey, key, seed };
}

function withoutSecret({ from, keyId, publicKey }: Line): Line {
  return { from, keyId, publicKey };
}

function lineOf({ keyId, publicKey, seed, from }: Line): string {
  const start = `${keyId.replace(':', ' ')} ${seed ?? `public:${publicKey}`}`;
  return from === -Infinity ? `${start}\n` : `${start} from ${timeOf(from)}\n`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function wrong(file: string, what: string): SigningKeyFileError {
  return new SigningKeyFileError(`The signing keys in ${file} cannot be used. ${what}`);
}

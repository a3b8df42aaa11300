import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LEAVING_MS } from '../../federation/own-keys.ts';
import { generateSeed } from '../../federation/signing.ts';
import { createLog } from '../../homeserver/base/log.ts';
import {
  openSigningKeys,
  readSigningKeys,
  rollSigningKey,
  SigningKeyFileError,
} from '../../homeserver/base/signing-key-file.ts';

const HOUR_MS = 60 * 60_000;

describe('The signing key file', () => {
  const log = createLog('silent');
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-key-'));
    file = join(folder, 'signing.key');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is made once, for its owner only, and read from then on', async () => {
    const { keys: first } = await openSigningKeys(file, log);
    const { keys: second } = await openSigningKeys(file, log);
    expect(first.keyId).toMatch(/^ed25519:a_[0-9a-f]{6}$/);
    expect(second.keyId).toBe(first.keyId);
    expect(second.publicKey).toBe(first.publicKey);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['signing.key']);
  });

  it('is never overwritten, and its content is not shown', async () => {
    await writeFile(file, 'topsecret');
    const error: unknown = await openSigningKeys(file, log).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SigningKeyFileError);
    expect(String(error)).not.toContain('topsecret');
    expect(await readFile(file, 'utf8')).toBe('topsecret');
  });

  it('is refused when two keys have one version or one time, when none signs, and when a line is none', () => {
    const seed = generateSeed();
    const wrong: Record<string, RegExp> = {
      [`ed25519 a ${seed}\ned25519 a ${seed} from 2020-01-01T00:00:00Z`]: /same version/,
      [`ed25519 a ${seed}\ned25519 b ${seed}`]: /Only the first key/,
      [`ed25519 a ${seed} from 2999-01-01T00:00:00Z`]: /None of them signs now/,
      [`ed25519 a public:${seed}`]: /None of them signs now/,
      [`ed25519 a ${seed}\ned25519 b ${seed} from tomorrow`]: /Line 2 is not/,
      [`ed25519 a ${seed}\n\ned25519 b ${seed} from 2026-13-01T00:00:00Z`]: /time in line 3/,
      '\n': /empty/,
      [`ed25519 a ${seed}\n`.repeat(101)]: /more than 100 lines/,
    };
    for (const [text, why] of Object.entries(wrong)) {
      expect(() => readSigningKeys(file, text)).toThrowError(SigningKeyFileError, why);
    }
  });

  it('is followed while the server runs: the next key is published, then signs, and the old one stays known', async () => {
    const signing = await openSigningKeys(file, log);
    const first = signing.keys.keyId;
    const soon = Date.now() + 2_000;
    const { next, from } = await rollSigningKey(file, soon);
    await untilLooked(() => signing.keys.published().length === 2, signing);
    expect(signing.keys.keyId).toBe(first);
    await untilLooked(() => signing.keys.keyId === next, signing);
    expect(Date.now()).toBeGreaterThanOrEqual(from);
    expect(signing.keys.published().map(({ keyId }) => keyId)).toEqual([first, next]);
    expect(signing.keys.old(from + LEAVING_MS).map(({ keyId }) => keyId)).toEqual([first]);
  });

  it('goes on with the keys that it has when somebody spoils the file', async () => {
    const logged: string[] = [];
    const signing = await openSigningKeys(file, createLog('error', { write: (line) => void logged.push(line) }));
    const { keyId } = signing.keys;
    await writeFile(file, 'topsecret');
    await untilLooked(() => logged.length > 0, signing);
    expect(logged.join()).toContain('those from before stay in use');
    expect(logged.join()).not.toContain('topsecret');
    expect(signing.keys.keyId).toBe(keyId);
    await rm(file);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await signing.look();
    expect(signing.keys.keyId).toBe(keyId);
  });

  it('loses the secrets of keys that sign no more, and keeps their public halves', async () => {
    const start = Date.now() - 3 * HOUR_MS;
    await writeFile(file, `ed25519 a_first ${generateSeed()}\n`);
    const first = readSigningKeys(file, await readFile(file, 'utf8')).publicKey;
    const { next } = await rollSigningKey(file, start, start);
    expect((await readFile(file, 'utf8')).split('\n')[0]).toMatch(/^ed25519 a_first [A-Za-z0-9+/]{43}$/);
    await rollSigningKey(file, start + 2 * HOUR_MS, start + 2 * HOUR_MS);
    const lines = (await readFile(file, 'utf8')).split('\n');
    expect(lines[0]).toBe(`ed25519 a_first public:${first}`);
    expect(lines[1]).toContain(next.replace(':', ' '));
    const keys = readSigningKeys(file, lines.join('\n'));
    expect(keys.old().map(({ keyId }) => keyId)).toEqual(['ed25519:a_first', next]);
    expect(keys.old()[0]?.expiredTs).toBe(Math.floor(start / 1000) * 1000 + LEAVING_MS);
  });

  /** Looks, as the server does from time to time, until something is so. */
  async function untilLooked(isSo: () => boolean, { look }: { look(): Promise<void> }): Promise<void> {
    for (const deadline = Date.now() + 15_000; !isSo();) {
      if (Date.now() > deadline) throw new Error('It did not happen.');
      await new Promise((resolve) => setTimeout(resolve, 100));
      await look();
    }
  }
});

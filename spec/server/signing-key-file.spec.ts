import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSigningKey, SigningKeyFileError } from '../../homeserver/app/signing-key-file.ts';

describe('The signing key file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-key-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is made once, for its owner only, and read from then on', async () => {
    const file = join(folder, 'signing.key');
    const first = await loadSigningKey(file);
    const second = await loadSigningKey(file);
    expect(first.keyId).toMatch(/^ed25519:a_[0-9a-f]{6}$/);
    expect(second.keyId).toBe(first.keyId);
    expect(second.publicKey).toBe(first.publicKey);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['signing.key']);
  });

  it('is never overwritten, and its content is not shown', async () => {
    const file = join(folder, 'signing.key');
    await writeFile(file, 'topsecret');
    const error: unknown = await loadSigningKey(file).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SigningKeyFileError);
    expect(String(error)).not.toContain('topsecret');
    expect(await readFile(file, 'utf8')).toBe('topsecret');
  });
});

import { chmod, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FollowedFiles } from '../../homeserver/base/followed-files.ts';
import { readIfThere, SECRET_MODE, UnfitFileError, writeWhole } from '../../homeserver/base/whole-files.ts';

describe('Files of an administrator', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-files-'));
    file = join(folder, 'file');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('keep their mode when they are written, but no secret gets into one that others may read', async () => {
    for (const [before, mode, after] of [
      [0o644, 0o644, 0o644],
      [0o644, SECRET_MODE, 0o640],
      [0o640, SECRET_MODE, 0o640],
      [0o600, 0o644, 0o600],
    ] as const) {
      await writeFile(file, 'before');
      await chmod(file, before);
      await writeWhole(file, 'after', mode);
      expect([await readFile(file, 'utf8'), (await stat(file)).mode & 0o777]).toEqual(['after', after]);
    }
  });

  it('are read only where they are files of their size, whatever else is named', async () => {
    await writeFile(file, 'x'.repeat(1024 * 1024));
    expect((await readIfThere(file))?.length).toBe(1024 * 1024);
    await writeFile(file, 'x'.repeat(1024 * 1024 + 1));
    for (const unfit of [file, folder, '/dev/zero'])
      await expectAsync(readIfThere(unfit)).toBeRejectedWithError(UnfitFileError);
    expect(await readIfThere(join(folder, 'none'))).toBeUndefined();
  });

  it('are read again whatever a copy keeps of size and times, and after a look that failed', async () => {
    const taken: string[] = [];
    /** Each look of one that has none looked a moment ago. */
    const followed = new FollowedFiles([file], ([text = '']) => void taken.push(text));
    const look = async (): Promise<boolean> => {
      await new Promise((resolve) => setTimeout(resolve, 1_010));
      return followed.look().then(
        () => true,
        () => false,
      );
    };
    expect(await look())
      .withContext('there is none')
      .toBeFalse();
    const then = new Date('2026-01-01T00:00:00Z');
    await writeFile(file, 'one');
    await utimes(file, then, then);
    expect(await look()).toBeTrue();
    await writeFile(file, 'two');
    await utimes(file, then, then);
    expect(await look()).toBeTrue();
    expect(await look()).toBeTrue();
    expect(taken).toEqual(['one', 'two']);
  });
});

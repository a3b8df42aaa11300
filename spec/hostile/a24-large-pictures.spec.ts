/** A picture that must be decoded whole is judged by the memory that this takes, before it is decoded. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sharp } from 'sharp';
import { makeThumbnail } from '../../homeserver/features/media/pictures.ts';
import { INTERLACED, picture } from './kit/dear-inputs.ts';

describe('A24: a large picture', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-pictures-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const thumbnail = async (large: Sharp): Promise<string> => {
    const path = join(folder, 'picture');
    await large.toFile(path);
    try {
      return (await makeThumbnail(path, { width: 96, height: 96, method: 'scale', animated: false })).contentType;
    } catch (error) {
      return error instanceof Error && 'errcode' in error ? String(error.errcode) : String(error);
    }
  };

  it('whose lines are interlaced is refused when it takes too much memory', async () => {
    expect(await thumbnail(picture(5_100).png(INTERLACED))).toBe('M_TOO_LARGE');
    expect(await thumbnail(picture(3_700).toColourspace('rgb16').png(INTERLACED))).toBe('M_TOO_LARGE');
    expect(await thumbnail(picture(1_000).png(INTERLACED))).toBe('image/png');
  });

  it('that is made smaller line by line is taken', async () => {
    expect(await thumbnail(picture(5_100).png({ compressionLevel: 1 }))).toBe('image/png');
    expect(await thumbnail(picture(6_000).jpeg())).toBe('image/jpeg');
  });
});

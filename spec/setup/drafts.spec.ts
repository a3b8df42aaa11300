import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolderOnce, writeWhole } from '../../deploy/quickstart/drafts.mjs';

const MODULE = new URL('../../deploy/quickstart/drafts.mjs', import.meta.url).href;

describe('What is made under another name first', () => {
  let parent: string;
  let folder: string;

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'hansetag-drafts-'));
    folder = join(parent, 'cache/programs');
  });

  afterEach(() => rmSync(parent, { recursive: true, force: true }));

  it('is made once by all parts of a process that want it at the same time', async () => {
    let made = 0;
    const make = async (draft: string) => {
      made += 1;
      await mkdir(draft);
      expect(existsSync(folder)).toBeFalse();
      await writeFile(join(draft, 'postgres'), 'program');
    };
    await Promise.all(Array.from({ length: 5 }, () => makeFolderOnce(folder, make)));
    expect(made).toBe(1);
    expect(readdirSync(folder)).toEqual(['postgres']);
    expect(readdirSync(join(parent, 'cache')).sort()).toEqual(['programs', 'programs.lock']);
  });

  it('is made once by all processes that want it at the same time', async () => {
    const log = join(parent, 'log');
    const script = `
      import { makeFolderOnce } from ${JSON.stringify(MODULE)};
      import { appendFileSync, mkdirSync } from 'node:fs';
      await makeFolderOnce(${JSON.stringify(folder)}, async (draft) => {
        mkdirSync(draft);
        appendFileSync(${JSON.stringify(log)}, 'made ');
        await new Promise((done) => setTimeout(done, 300));
      });`;
    const makers = [1, 2, 3].map(() =>
      spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
    const codes = await Promise.all(makers.map(async (maker) => (await once(maker, 'close'))[0] as unknown));
    expect(codes).toEqual([0, 0, 0]);
    expect(readFileSync(log, 'utf8')).toBe('made ');
  });

  it('is tried again by the next one when the first one fails, without what that one or a killed one left', async () => {
    mkdirSync(`${folder}.draft-0123456789abcdef/half`, { recursive: true });
    const fail = async (draft: string) => {
      await mkdir(draft);
      throw new Error('the disk is full');
    };
    await expectAsync(makeFolderOnce(folder, fail)).toBeRejectedWithError('the disk is full');
    await makeFolderOnce(folder, (draft) => mkdir(draft).then(() => undefined));
    expect(readdirSync(join(parent, 'cache')).sort()).toEqual(['programs', 'programs.lock']);
  });

  it('is a whole file at every moment when many write it', async () => {
    const file = join(parent, 'key.pem');
    const texts = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(100_000));
    await Promise.all(
      texts.map(async (text) => {
        await writeWhole(file, text);
        expect(texts).toContain(readFileSync(file, 'utf8'));
      }),
    );
    expect(readdirSync(parent)).toEqual(['key.pem']);
  });
});

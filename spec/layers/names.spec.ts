import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const TABLE = 'homeserver/base/names.ts';

describe('Names of our own in the Matrix protocol', () => {
  it('stand in one table', async () => {
    const elsewhere: string[] = [];
    let inTable = 0;
    for await (const path of glob('{protocol,federation,homeserver,sfu,client-angular/src}/**/*.ts', { cwd: ROOT })) {
      const text = await readFile(join(ROOT, path), 'utf8');
      for (const [name] of text.matchAll(/['"]org\.hansetag\.[^'"]*['"]/gi)) {
        if (path === TABLE) inTable += 1;
        else elsewhere.push(`${path}: ${name}`);
      }
    }
    expect(elsewhere).toEqual([]);
    expect(inTable).toBeGreaterThan(3);
  });
});

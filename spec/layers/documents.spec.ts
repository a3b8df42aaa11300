import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
/** Folders that a document may leave out of a path, as its tables say. */
const BELOW = ['', 'homeserver', 'homeserver/meetings', 'client-angular/src/app'];
/** A path in code style: with a folder, and without a placeholder. */
const PATH = /`([a-z][\w.-]*(?:\/[\w.-]+)+\/?|[a-z][\w.-]*\/)`/g;

async function exists(path: string): Promise<boolean> {
  const found = await Promise.allSettled(BELOW.map((folder) => access(join(ROOT, folder, path))));
  return found.some(({ status }) => status === 'fulfilled');
}

describe('The documents of the layers', () => {
  for (const document of ['docs/architecture.md', 'docs/where.md']) {
    it(`name only files and folders that there are: ${document}`, async () => {
      const text = await readFile(join(ROOT, document), 'utf8');
      const paths = [...new Set([...text.matchAll(PATH)].map(([, path = '']) => path))];
      expect(paths.length).toBeGreaterThan(20);
      const missing: string[] = [];
      for (const path of paths) if (!(await exists(path))) missing.push(path);
      expect(missing).toEqual([]);
    });
  }

  it('show the smallest module as it is', async () => {
    const document = await readFile(join(ROOT, 'docs/architecture.md'), 'utf8');
    const [, after = ''] = document.split('\n## The smallest module\n');
    const [section = ''] = after.split('\n## ');
    const files = ['protocol/modules/reactions.ts', 'homeserver/meetings/modules/reactions/index.ts'];
    const sources = await Promise.all(files.map((file) => readFile(join(ROOT, file), 'utf8')));
    const shown = [...section.matchAll(/```ts\n(.*?)\n```/gs)].map(([, code = '']) => code);
    expect(shown.length).toBe(2);
    for (const code of shown) {
      expect(sources.some((source) => source.includes(code)))
        .withContext(code)
        .toBeTrue();
    }
  });
});

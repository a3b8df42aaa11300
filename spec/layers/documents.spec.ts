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
});

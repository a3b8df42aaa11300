import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stateIn } from './local-state.ts';

const ROOT = join(import.meta.dirname, '../..');
const SOURCES = ['homeserver/**/*.ts', 'sfu/**/*.ts', 'federation/**/*.ts', 'protocol/**/*.ts'];
const TITLE = '## State in one process\n';
/** What is written in code style: a file, or a field or variable of the file before it. */
const CODE = /`([^`\n]+)`/g;
const NAME = /^#?\w+$/;

/** By file: the names of its state; a file alone stands for all that it holds. */
async function listedState(): Promise<Map<string, Set<string>>> {
  const document = await readFile(join(ROOT, 'docs/architecture.md'), 'utf8');
  const [, after = ''] = document.split(TITLE);
  const [section = ''] = after.split('\n## ');
  const tables = section.slice(section.indexOf('\n### '));
  const listed = new Map<string, Set<string>>();
  let names: Set<string> | undefined;
  for (const [, code = ''] of tables.matchAll(CODE)) {
    if (code.endsWith('.ts')) {
      names = listed.get(code) ?? new Set();
      listed.set(code, names);
    } else if (NAME.test(code)) names?.add(code);
  }
  return listed;
}

/** As the document writes it: without `homeserver/`. */
const short = (file: string): string => file.replace(/^homeserver\//, '');

describe('The state in one process', () => {
  it('is listed in docs/architecture.md, each piece of it and nothing else', async () => {
    const listed = await listedState();
    const found = new Map<string, string[]>();
    for await (const file of glob(SOURCES, { cwd: ROOT })) {
      const names = await stateIn(join(ROOT, file));
      if (names.length > 0) found.set(short(file), names);
    }
    expect(found.size).toBeGreaterThan(50);
    const unlisted = [...found].flatMap(([file, names]) => {
      const known = listed.get(file);
      if (known?.size === 0) return [];
      return names.filter((name) => !known?.has(name)).map((name) => `${file} ${name}`);
    });
    expect(unlisted.toSorted()).withContext('state without a line').toEqual([]);
    const gone = [...listed].flatMap(([file, names]) => {
      const there = found.get(file);
      if (!there) return [file];
      return [...names].filter((name) => !there.includes(name)).map((name) => `${file} ${name}`);
    });
    expect(gone.toSorted()).withContext('lines without state').toEqual([]);
  });

  it('is found in classes, modules and what functions return, and not where it ends with a request', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hansetag-state-'));
    try {
      const file = join(folder, 'planted.ts');
      await writeFile(
        file,
        `const CONSTANT = new Set(['a']);
        const shared = new Map<string, number>();
        class Planted {
          readonly #field = new Map<string, number>();
          readonly #given;
          readonly #queue: string[] = [];
          readonly #limit = 5;
          #timer: NodeJS.Timeout | undefined;
          constructor() {
            this.#given = new LRUCache({ max: 1 });
          }
          ask(): number {
            const ofRequest = new Map<string, number>();
            return ofRequest.size;
          }
        }
        function make() {
          const captured = new Map<string, number>();
          const local = new Set<string>();
          local.add('a');
          return { ask: () => captured.size };
        }
        setInterval(make, 1_000);`,
      );
      expect(await stateIn(file)).toEqual([
        '#field',
        '#given',
        '#queue',
        '#timer',
        'captured',
        'setInterval',
        'shared',
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

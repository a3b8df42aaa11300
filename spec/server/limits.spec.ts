import { readFile } from 'node:fs/promises';
import * as limits from '../../homeserver/base/limits.ts';

const root = new URL('../../', import.meta.url);

function size(bytes: number): string {
  for (const [unit, of] of [
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= of && bytes % of === 0) return `${String(bytes / of)} ${unit}`;
  }
  return `${String(bytes)} bytes`;
}

function time(ms: number): string {
  for (const [unit, of] of [
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const) {
    if (ms % of === 0) return `${String(ms / of)} ${unit}`;
  }
  return `${String(ms)} ms`;
}

/** A bound as the documents show it; what it counts is told by its name. */
function shown(name: string, value: number): string {
  if (name.endsWith('_MS')) return time(value);
  return /_BYTES(_RATE)?$/.test(name) ? size(value) : value.toLocaleString('en-GB');
}

function shownLimit(name: string, value: number | limits.Rate): string {
  if (typeof value === 'number') return shown(name, value);
  return `${shown(name, value.points)} in ${time(value.seconds * 1000)}`;
}

/** The bounds of docs/limits.md by their names. */
async function documented(): Promise<Map<string, string>> {
  const text = await readFile(new URL('docs/limits.md', root), 'utf8');
  const rows = [...text.matchAll(/^\| `([^`]+)` *\|[^|]+\| ([^|]+?) *\|[^|]+\|[^|]+\|$/gm)];
  expect(new Set(rows.map(([, name]) => name)).size)
    .withContext('each once')
    .toBe(rows.length);
  return new Map(rows.map(([, name = '', bound = '']) => [name, bound]));
}

/** The value of a constant that a file of the library keeps to itself. */
async function constantIn(path: string, name: string): Promise<number> {
  const text = await readFile(new URL(path, root), 'utf8');
  const [, factors = ''] = new RegExp(`^(?:export )?const ${name} = ([0-9_* ]+);`, 'm').exec(text) ?? [];
  return factors.split('*').reduce((product, factor) => product * Number(factor.trim().replaceAll('_', '')), 1);
}

describe('The bounds in docs/limits.md', () => {
  it('are those of the one module of bounds, all of them, with their values', async () => {
    const table = [...(await documented())].filter(([name]) => !name.includes(' '));
    const real = Object.entries(limits).map(([name, value]) => [name, shownLimit(name, value)]);
    expect(new Map(table)).toEqual(new Map(real as [string, string][]));
  });

  it('are those of the protocol library', async () => {
    const table = [...(await documented())].filter(([name]) => name.includes(' '));
    expect(table.length).toBeGreaterThan(5);
    for (const [place, bound] of table) {
      const [path = '', name = ''] = place.split(' ');
      expect(shown(name, await constantIn(path, name)))
        .withContext(place)
        .toBe(bound);
    }
  });
});

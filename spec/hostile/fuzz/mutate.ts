/** Makes bad input of good input: wrong types, ranges, depths and sizes, and what parsers stumble over. */
import type { Random } from '../../soak/random.ts';

/** Stands in a value for JSON that no JavaScript value has: `1e999`, a key twice, a thousand brackets. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const TEXTS: readonly string[] = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  'x\udfff',
  '\u202etxt.exe',
  '\ufeff',
  '\r\nX-Header: 1',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '../../etc/passwd',
  '%00%ff%',
  "'; DROP TABLE rooms; --",
  '<script>alert(1)</script>',
  '@a:b',
  '@:',
  '@{{user}}',
  '{{user}}',
  '{{room}}',
  '{{event}}',
  '@a:not a server',
  '@somebody:[::1]:99999',
  '!:',
  '$',
  '#:',
  'localhost:1',
  'https://127.0.0.1:1/',
  'mxc://../..',
  '-1',
  'NaN',
  '1e309',
  '9007199254740993',
  '\u{1f600}'.repeat(100),
  'm.room.member',
  '*'.repeat(60),
];

const NUMBERS: readonly string[] = [
  '0',
  '-0',
  '-1',
  '1.5',
  '2147483648',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '-9007199254740993',
  '1e21',
  '1e308',
  '1e999',
  '123456789012345678901234567890',
];

const KEYS: readonly string[] = ['__proto__', 'constructor', 'toString', 'length', '', '\0', '\ud800', 'type', 'then'];

/** JSON as text; what `JSON.stringify` leaves out is null. However deep: what was read may be thousands of levels deep. */
export function jsonText(value: unknown): string {
  const parts: string[] = [];
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (next instanceof RawJson) parts.push(next.text);
    else if (Array.isArray(next)) left.push(...enclosed('[', next, ']').reverse());
    else if (isObject(next)) {
      const members = Object.entries(next).map(([key, inside]): unknown[] => [
        new RawJson(`${JSON.stringify(key)}:`),
        inside,
      ]);
      left.push(...enclosed('{', members, '}').flat().reverse());
    } else parts.push(JSON.stringify(next) ?? 'null');
  }
  return parts.join('');
}

function enclosed(open: string, items: readonly unknown[], close: string): unknown[] {
  const between = items.flatMap((item, index) => (index === 0 ? [item] : [new RawJson(','), item]));
  return [new RawJson(open), ...between, new RawJson(close)];
}

/** A copy with a few changes at places that are chosen by chance; more than one for one in three. */
export function mutate(random: Random, value: unknown): unknown {
  let mutated = value;
  for (let more = true; more; more = random.chance(0.35)) mutated = changed(random, mutated);
  return mutated;
}

/** A text with something wrong in it. */
export function mutateText(random: Random, text: string): string {
  const at = random.whole(0, text.length);
  switch (random.whole(0, 6)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + random.of(TEXTS) + text.slice(at);
    case 2:
      return text + text;
    case 3:
      return text.slice(0, at) + text.slice(at + 1);
    case 4:
      return `${text.slice(0, at)}${String.fromCharCode(random.whole(0, 0xffff))}${text.slice(at + 1)}`;
    case 5:
      return text + 'x'.repeat(random.of([10, 255, 256, 1_000, 70_000]));
    default:
      return random.of(TEXTS);
  }
}

/** Bytes with some of them changed, left out or added. */
export function mutateBytes(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let flips = random.whole(0, 6); flips > 0 && copy.length > 0; flips -= 1) {
    copy[random.whole(0, copy.length - 1)] = random.of([0, 1, 0x7f, 0x80, 0xff, random.whole(0, 255)]);
  }
  if (random.chance(0.2)) return copy.subarray(0, random.whole(0, copy.length));
  if (random.chance(0.1))
    return Buffer.concat([copy, Buffer.alloc(random.of([1, 4, 200, 1_400]), random.whole(0, 255))]);
  return copy;
}

/** The body of a request as text: JSON with something wrong, or no JSON at all. */
export function mutateBody(random: Random, value: unknown): string {
  const text = jsonText(random.chance(0.9) ? mutate(random, value) : value);
  if (!random.chance(0.06)) return text;
  return random.of([
    () => text.slice(0, random.whole(0, text.length)),
    () => mutateText(random, text),
    () => `\ufeff${text}`,
    () => text.replace('{', '{"a":1,"a":2,'),
    () => text.replace('{', '{"__proto__":{"polluted":true},'),
    () => `${' '.repeat(random.of([1_000, 60_000]))}${text}`,
    () => '['.repeat(random.of([60, 600, 30_000])),
    () => `[${text}]`,
    () => 'null',
  ])();
}

function changed(random: Random, value: unknown): unknown {
  if (value instanceof RawJson) return junk(random);
  const children = Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
  // Most places are deep inside.
  if (children === 0 || random.chance(0.15)) return replaced(random, value);
  if (random.chance(0.3))
    return Array.isArray(value) ? changedList(random, value) : changedObject(random, value as object);
  if (Array.isArray(value)) {
    const at = random.whole(0, value.length - 1);
    return value.map((inside: unknown, index) => (index === at ? changed(random, inside) : inside));
  }
  const key = random.of(Object.keys(value as object));
  return fromPairs(
    Object.entries(value as object).map(([k, v]) => [k, k === key ? changed(random, v) : (v as unknown)]),
  );
}

function replaced(random: Random, value: unknown): unknown {
  if (typeof value === 'string' && random.chance(0.7)) return mutateText(random, value);
  if (typeof value === 'number' && random.chance(0.7)) return new RawJson(random.of(NUMBERS));
  return junk(random);
}

function changedList(random: Random, list: readonly unknown[]): unknown {
  const one = list.length === 0 ? junk(random) : random.of(list);
  return random.of<() => unknown>([
    () => [],
    () => [...list, one],
    () => list.toReversed(),
    () => list.slice(1),
    () => [...list, junk(random)],
    () => Array.from({ length: random.of([60, 300, 3_000]) }, () => one),
    () => ({ length: list.length, 0: one }),
  ])();
}

function changedObject(random: Random, object: object): unknown {
  const pairs: [string, unknown][] = Object.entries(object);
  const at = random.whole(0, Math.max(0, pairs.length - 1));
  return random.of<() => unknown>([
    () => fromPairs(pairs.filter((_, index) => index !== at)),
    () => fromPairs(pairs.map(([key, value], index) => [index === at ? mutateText(random, key) : key, value])),
    () => fromPairs([...pairs, [random.of(KEYS), junk(random)]]),
    () =>
      fromPairs([
        ...pairs,
        ...Array.from({ length: random.of([60, 1_000]) }, (_, n): [string, unknown] => [`k${String(n)}`, n]),
      ]),
    () =>
      new RawJson(
        `{${[...pairs, ...pairs].map(([key, value]) => `${JSON.stringify(key)}:${jsonText(value)}`).join(',')}}`,
      ),
    () => pairs.map(([, value]) => value),
  ])();
}

function junk(random: Random): unknown {
  return random.of<() => unknown>([
    () => null,
    () => true,
    () => false,
    () => new RawJson(random.of(NUMBERS)),
    () => random.of(TEXTS),
    () => 'y'.repeat(random.of([256, 5_000, 70_000])),
    () => [],
    () => ({}),
    () => [null],
    () => ({ length: { valueOf: 1 } }),
    () => new RawJson('{"__proto__":{"polluted":true}}'),
    () => nested(random.of([20, 49, 60, 120, 520, 5_000]), random.chance(0.5)),
  ])();
}

function nested(depth: number, lists: boolean): RawJson {
  return new RawJson(lists ? '['.repeat(depth) + ']'.repeat(depth) : `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`);
}

/** `__proto__` becomes a key like any other. */
function fromPairs(pairs: readonly (readonly [string, unknown])[]): object {
  return Object.fromEntries(pairs);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

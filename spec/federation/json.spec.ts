import {
  canonicalJson,
  canonicalJsonAsWritten,
  CanonicalJsonError,
  canonicalJsonOfLong,
  canonicalJsonWithAnyNumbers,
  DEPTH,
  isWithinDepth,
  JsonParseError,
  member,
  parseLong,
  parseStrict,
} from '../../federation/json.ts';
import type { JsonValue } from '../../federation/json.ts';
import { VECTORS } from './vectors.ts';

function refusal(text: string, maxDepth?: number): string {
  try {
    parseStrict(text, maxDepth);
    return 'accepted';
  } catch (error) {
    return error instanceof JsonParseError ? error.code : 'another error';
  }
}

describe('canonical JSON', () => {
  for (const vector of VECTORS.canonical_json) {
    it(`writes ${JSON.stringify(vector.in)} as the vector says`, () => {
      expect(canonicalJson(parseStrict(vector.in))).toBe(vector.out);
    });
  }

  it('writes the examples of the specification', () => {
    const examples: [string, string][] = [
      ['{}', '{}'],
      ['{\n "one": 1,\n "two": "Two"\n}', '{"one":1,"two":"Two"}'],
      ['{"b":"2","a":"1"}', '{"a":"1","b":"2"}'],
      ['{"a":"日本語"}', '{"a":"日本語"}'],
      ['{"本":2,"日":1}', '{"日":1,"本":2}'],
      ['{"a":"\\u65E5"}', '{"a":"日"}'],
      ['{"a":null}', '{"a":null}'],
    ];
    for (const [text, canonical] of examples) expect(canonicalJson(parseStrict(text))).toBe(canonical);
    expect(canonicalJson({ a: -0, b: 1e10 })).toBe('{"a":0,"b":10000000000}');
  });

  it('sorts members by code point, not by UTF-16 code unit', () => {
    expect(canonicalJson({ '😀': 1, '～': 2 })).toBe('{"～":2,"😀":1}');
  });

  it('escapes control characters in lower case and nothing that may stay raw', () => {
    expect(canonicalJson('\u0000\u001f\b\t\n\f\r"\\/\u007f\u2028')).toBe(
      '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\u007f\u2028"',
    );
  });

  it('refuses numbers that are not integers of 53 bits, lone surrogates and what is not JSON', () => {
    const bad: JsonValue[] = [
      1.5,
      2 ** 53,
      -(2 ** 53),
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '\ud800',
      { '\udc00': 1 },
    ];
    for (const value of bad) expect(() => canonicalJson(value)).toThrowError(CanonicalJsonError);
    expect(() => canonicalJson({ a: undefined } as unknown as JsonValue)).toThrowError(CanonicalJsonError);
    let deep: JsonValue = [];
    for (let i = 0; i < 10_000; i++) deep = [deep];
    expect(() => canonicalJson(deep)).toThrowError(CanonicalJsonError);
  });

  it('keeps a member called __proto__', () => {
    expect(canonicalJson(parseStrict('{"__proto__":{"a":1},"constructor":2}'))).toBe(
      '{"__proto__":{"a":1},"constructor":2}',
    );
    expect(canonicalJson(JSON.parse('{"__proto__":{"a":1}}') as JsonValue)).toBe('{"__proto__":{"a":1}}');
  });
});

describe('JSON with any numbers', () => {
  it('is written in the shortest form, as Python writes it', () => {
    const numbers = [1.5, 1e21, 0.0001, 0.00002, -1.25e-7, 1e-10, 12345678901234567890, 0];
    expect(canonicalJsonWithAnyNumbers(numbers)).toBe(
      '[1.5,1e+21,0.0001,2e-05,-1.25e-07,1e-10,12345678901234567000,0]',
    );
  });

  it('is written as it was, but for its order and its white space', () => {
    const text = String.raw`{ "b": [1.0, -0.50e+3 , 7], "a": "1.0\"2.0", "\u0001": 12345678901234567890 }`;
    expect(canonicalJsonAsWritten(text)).toBe(
      String.raw`{"\u0001":12345678901234567890,"a":"1.0\"2.0","b":[1.0,-0.50e+3,7]}`,
    );
    for (const bad of ['[1.0.0]', '[01.5]', '[+1]', '{"a":1.5,"a":2}', '"1.5']) {
      expect(() => canonicalJsonAsWritten(bad)).toThrowError();
    }
  });
});

describe('the strict parser', () => {
  it('reads what JSON.parse reads', () => {
    const text = ' {"a" : [1, -2, true, false, null, "x\\u00e9\\n\\ud83d\\ude00\\/"], "b": {"": {}}, "c": []} ';
    expect(JSON.stringify(parseStrict(text))).toBe(JSON.stringify(JSON.parse(text)));
    expect(parseStrict('9007199254740991') as number).toBe(9007199254740991);
    expect(parseStrict('-9007199254740991') as number).toBe(-9007199254740991);
  });

  it('refuses numbers that other servers refuse: fractions, exponents, negative zero and big integers', () => {
    for (const text of ['1.0', '1e3', '1E+3', '-0', '-0.0', '9007199254740992', '-9007199254740992', '0.1', '1e400']) {
      expect(refusal(`{"a":[${text}]}`))
        .withContext(text)
        .toBe('M_BAD_JSON');
    }
  });

  it('refuses a member that occurs twice, also when it is written differently', () => {
    expect(refusal('{"a":1,"a":1}')).toBe('M_BAD_JSON');
    expect(refusal('{"a":1,"\\u0061":1}')).toBe('M_BAD_JSON');
    expect(refusal('{"__proto__":1,"__proto__":1}')).toBe('M_BAD_JSON');
  });

  it('refuses lone surrogates in values and in member names', () => {
    expect(refusal('"\\ud800"')).toBe('M_BAD_JSON');
    expect(refusal('{"\\udc00":1}')).toBe('M_BAD_JSON');
    expect(refusal('"\\ude00\\ud83d"')).toBe('M_BAD_JSON');
  });

  it('refuses nesting deeper than asked for without exhausting the stack', () => {
    for (const depth of [DEPTH.written, DEPTH.event, DEPTH.stored]) {
      expect(refusal('['.repeat(depth) + ']'.repeat(depth), depth)).toBe('accepted');
      expect(refusal('['.repeat(depth + 1) + ']'.repeat(depth + 1), depth)).toBe('M_BAD_JSON');
    }
    expect(refusal('{"a":'.repeat(1_000_000))).toBe('M_BAD_JSON');
    const deepest = '['.repeat(DEPTH.stored) + ']'.repeat(DEPTH.stored);
    expect(canonicalJson(parseStrict(deepest))).toBe(deepest);
  });

  it('tells how deep a value is', () => {
    expect(isWithinDepth(1, 0)).toBeTrue();
    expect(isWithinDepth([], 0)).toBeFalse();
    expect(isWithinDepth([1], 1)).toBeTrue();
    expect(isWithinDepth({ a: [1] }, 2)).toBeTrue();
    expect(isWithinDepth({ a: [{}] }, 2)).toBeFalse();
  });

  it('reads and writes a long text in slices, between which others have their turn', async () => {
    const text = `[${Array.from({ length: 200_000 }, (_, index) => `{"b":[1.5,null],"a":"${String(index)}"}`).join(',')}]`;
    let turns = 0;
    let going = true;
    const others = (): void => {
      turns += 1;
      if (going) setImmediate(others);
    };
    setImmediate(others);
    const value = await parseLong(text, DEPTH.event, true);
    const turnsOfReading = turns;
    const written = await canonicalJsonOfLong(value);
    going = false;
    expect(turnsOfReading).toBeGreaterThan(2);
    expect(turns).toBeGreaterThan(turnsOfReading + 2);
    expect(written === canonicalJsonWithAnyNumbers(value)).toBeTrue();
    await expectAsync(parseLong(`${text}x`, DEPTH.event, true)).toBeRejectedWithError(JsonParseError);
    await expectAsync(parseLong(text, DEPTH.event)).toBeRejectedWithError(JsonParseError);
  });

  it('does not read an object with more members than can be sorted at once', () => {
    const members = (count: number): string =>
      `{${Array.from({ length: count }, (_, index) => `"${String(index)}":0`).join(',')}}`;
    expect(refusal(members(100_000))).toBe('accepted');
    expect(refusal(members(100_001))).toBe('M_BAD_JSON');
  });

  it('refuses what is not JSON', () => {
    const texts = [
      '',
      ' ',
      '{',
      '[1,]',
      '{"a":1,}',
      '{"a"}',
      "{'a':1}",
      '01',
      '+1',
      '.5',
      '1.',
      '-',
      'nul',
      'NaN',
      '"\n"',
    ];
    texts.push('"\\x"', '"\\u12"', '"\\u 123"', '"abc', '1 2', '{"a":1}}', '[1 2]', '\u00a01', '\ufeff{}', 'undefined');
    for (const text of texts) expect(refusal(text)).withContext(text).toBe('M_NOT_JSON');
  });

  // JSON.parse of some Node 24 releases returns the first text's member name for the second text.
  it('reads an escaped member name right after another object with an escaped name of the same shape', () => {
    expect(Object.keys(parseStrict('{"a":1,"\\\\":true}') as object)).toEqual(['a', '\\']);
    expect(Object.keys(parseStrict('{"a":1,"\\n":true}') as object)).toEqual(['a', '\n']);
  });

  it('builds objects on which names of the prototype mean nothing', () => {
    const value = parseStrict('{"__proto__":{"polluted":true}}') as Record<string, unknown>;
    expect(value['polluted']).toBeUndefined();
    expect(value['constructor']).toBeUndefined();
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(member({ a: 1 }, 'constructor')).toBeUndefined();
  });
});

describe('canonical JSON of random values', () => {
  // A fixed seed: a failure must be repeatable.
  function randomSource(seed: number): () => number {
    let state = seed;
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
  }

  function randomString(random: () => number): string {
    const points = [
      0x0, 0x1f, 0x22, 0x5c, 0x61, 0x7f, 0xe9, 0x2028, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x1f600, 0x10ffff,
    ];
    let text = '';
    for (let n = Math.floor(random() * 5); n > 0; n--) {
      text += String.fromCodePoint(points[Math.floor(random() * points.length)] ?? 0x61);
    }
    return text;
  }

  function randomValue(random: () => number, depth: number): JsonValue {
    const kind = Math.floor(random() * (depth > 4 ? 4 : 6));
    if (kind === 0) return null;
    if (kind === 1) return random() < 0.5;
    if (kind === 2) return Math.round((random() * 2 - 1) * Number.MAX_SAFE_INTEGER) + 0;
    if (kind === 3) return randomString(random);
    const size = Math.floor(random() * 6);
    if (kind === 4) return Array.from({ length: size }, () => randomValue(random, depth + 1));
    const entries = Array.from({ length: size }, () => [randomString(random), randomValue(random, depth + 1)] as const);
    return Object.fromEntries(entries);
  }

  it('is a fixed point of parsing and writing, and parses to the same value', () => {
    const random = randomSource(20260101);
    for (let i = 0; i < 500; i++) {
      const value = randomValue(random, 0);
      const text = canonicalJson(value);
      expect(canonicalJson(parseStrict(text))).toBe(text);
      expect(parseStrict(text) as unknown).toEqual(value);
    }
  });

  it('orders members as their UTF-8 bytes are ordered', () => {
    const random = randomSource(7);
    for (let i = 0; i < 200; i++) {
      const object = Object.fromEntries(Array.from({ length: 8 }, () => [randomString(random), 1]));
      const keys = Object.keys(parseStrict(canonicalJson(object)) as object);
      const byBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(keys.filter((key) => !/^\d+$/.test(key))).toEqual(byBytes.filter((key) => !/^\d+$/.test(key)));
    }
  });

  it('never lets a damaged text through unless JSON.parse reads it as well', () => {
    const random = randomSource(99);
    const source = VECTORS.canonical_json.map((vector) => vector.in).join(',');
    for (let i = 0; i < 2000; i++) {
      const at = Math.floor(random() * source.length);
      const text = `[${source.slice(0, at)}${String.fromCharCode(Math.floor(random() * 128))}${source.slice(at + 1)}]`;
      let ours: JsonValue | undefined;
      try {
        ours = parseStrict(text);
      } catch (error) {
        expect(error).toBeInstanceOf(JsonParseError);
      }
      if (ours !== undefined) expect(() => void JSON.parse(text)).not.toThrow();
    }
  });
});

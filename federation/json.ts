import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Any JSON value. Numbers are integers wherever a value came from `parseStrict`. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [k: string]: JsonValue };

/**
 * How deep JSON may be nested. The specification has no rule; other homeservers accept a few hundred levels. What passes
 * a smaller limit and is then wrapped to be sent or stored must pass the next larger one.
 */
export const DEPTH = {
  /** What people write: content of events and messages, tags, account data, profiles. */
  written: 50,
  /** An event or a message of another server, and a request or an answer that is one. */
  event: 500,
  /** Responses that hold events, and what was stored: what was accepted once can always be read. */
  stored: 1000,
} as const;

/** Whether a value nests objects and arrays at most `maxDepth` deep. */
export function isWithinDepth(value: JsonValue, maxDepth: number): boolean {
  // Level by level, because a stack of calls could overflow.
  let level = [value].filter(isContainer);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) return false;
    level = level.flatMap((item) => Object.values(item)).filter(isContainer);
  }
  return true;
}

function isContainer(value: JsonValue): value is JsonValue[] | JsonObject {
  return typeof value === 'object' && value !== null;
}

/** Thrown by `parseStrict`. `code` is the Matrix error code to answer with. */
export class JsonParseError extends Error {
  override readonly name = 'JsonParseError';
  readonly code: 'M_NOT_JSON' | 'M_BAD_JSON';
  /** UTF-16 offset in the text where the problem is. */
  readonly offset: number;

  constructor(code: 'M_NOT_JSON' | 'M_BAD_JSON', message: string, offset: number) {
    super(`${message} at offset ${offset}`);
    this.code = code;
    this.offset = offset;
  }
}

/** Thrown by `canonicalJson` for a value that has no canonical form. */
export class CanonicalJsonError extends Error {
  override readonly name = 'CanonicalJsonError';
  readonly code = 'M_BAD_JSON';
}

/** Whether a value is a JSON object, as opposed to an array, null or a scalar. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads an own member of an object from outside. A plain `object[key]` would find `constructor` and the like on the
 * prototype when somebody else chooses the key.
 */
export function member(object: JsonObject | undefined, key: string): JsonValue | undefined {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * Parses JSON text that has to follow the rules of canonical JSON, checking the source and not only the values:
 * `1.0`, `1e3`, `-0` and integers beyond ±(2^53-1) are refused although JavaScript could read them, because other
 * servers drop events that contain them. Duplicate keys, lone surrogates and deeper nesting are refused too.
 * Objects have no prototype, so that the key `__proto__` is a member like any other.
 *
 * It does not use `JSON.parse`, which hides the source, and which in Node 24.21 reads `{"a":1,"\n":2}` with the member
 * name of an earlier `{"a":1,"\\":2}`.
 *
 * @throws JsonParseError `M_NOT_JSON` when the text is not JSON, `M_BAD_JSON` when it is JSON that we refuse.
 * @see Matrix specification, appendices, "Canonical JSON"
 */
export function parseStrict(text: string, maxDepth: number = DEPTH.stored): JsonValue {
  return new Parser(text, maxDepth, false).parse();
}

/**
 * Like `parseStrict`, but accepts numbers that canonical JSON cannot represent. Only for what nobody signs, such as
 * account data, and for texts that hold several events, where a bad one must not make the others fail: an event taken
 * from it has to go through `canonicalJson` before use.
 *
 * @throws JsonParseError
 */
export function parseWithAnyNumbers(text: string, maxDepth: number = DEPTH.stored): JsonValue {
  return new Parser(text, maxDepth, true).parse();
}

/**
 * Parses like `parseStrict`, or like `parseWithAnyNumbers`, but yields to the event loop every few milliseconds, so that
 * a long text stalls nothing else.
 *
 * @throws JsonParseError
 */
export async function parseLong(text: string, maxDepth: number, anyNumbers = false): Promise<JsonValue> {
  const parser = new Parser(text, maxDepth, anyNumbers);
  while (!parser.advance(performance.now() + SLICE_MS)) await nextTurn();
  return parser.value;
}

/** How long parsing may block the event loop, in ms. */
const SLICE_MS = 10;

/**
 * Writes canonical JSON: members sorted by Unicode code point, no white space, shortest escapes.
 *
 * @throws CanonicalJsonError when the value contains a number that is not an integer within ±(2^53-1), a lone
 *   surrogate, something that is not JSON, or is nested too deeply.
 * @see Matrix specification, appendices, "Canonical JSON"
 */
export function canonicalJson(value: JsonValue): string {
  return write(value, MAX_WRITTEN_DEPTH, false);
}

/**
 * Writes what `parseWithAnyNumbers` read as its sender must have written it to sign it: numbers in their shortest form.
 * As the specification has no rule for them, they are written as Python does, because Synapse writes them anew before it
 * verifies.
 *
 * @throws CanonicalJsonError as `canonicalJson` does, but for no number
 */
export function canonicalJsonWithAnyNumbers(value: JsonValue): string {
  return write(value, MAX_WRITTEN_DEPTH, true);
}

/**
 * Like `canonicalJsonWithAnyNumbers`, but yields to the event loop every few milliseconds.
 *
 * @throws CanonicalJsonError
 */
export async function canonicalJsonOfLong(value: JsonValue): Promise<string> {
  const parts: string[] = [];
  let until = performance.now() + SLICE_MS;
  for (const part of pieces(value, MAX_WRITTEN_DEPTH)) {
    if (parts.push(part) % VALUES_PER_LOOK !== 0 || performance.now() < until) continue;
    await nextTurn();
    until = performance.now() + SLICE_MS;
  }
  return parts.join('');
}

/**
 * The canonical JSON of a text, except that numbers stay as they are written: some senders sign `1.0`.
 *
 * @returns undefined for a text whose numbers all have a canonical form, and for one with more than `MAX_WRITTEN_NUMBERS`
 * @throws JsonParseError
 * @throws CanonicalJsonError
 */
export function canonicalJsonAsWritten(text: string): string | undefined {
  const mark = randomUUID();
  const numbers: string[] = [];
  let isNeeded = false;
  const value = new Parser(text, DEPTH.stored, true, (token, isCanonical) => {
    isNeeded ||= !isCanonical;
    return `${mark}${String(numbers.push(token) - 1)}`;
  }).parse();
  if (!isNeeded || numbers.length > MAX_WRITTEN_NUMBERS) return undefined;
  return canonicalJson(value).replace(
    new RegExp(`"${mark}([0-9]+)"`, 'g'),
    (_marked, index: string) => numbers[Number(index)] ?? '',
  );
}

/** Texts with more numbers than this are not handled as they were written. */
const MAX_WRITTEN_NUMBERS = 10_000;

// What we wrap around a parsed value may make it a little deeper than the parser accepts.
const MAX_WRITTEN_DEPTH = DEPTH.stored + 20;

/** Compares two strings by Unicode code points; JavaScript's own order is by UTF-16 code units. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

// Surrogates stand for code points above U+FFFF, so they sort after U+E000..U+FFFF.
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

function write(value: JsonValue, depth: number, anyNumbers: boolean): string {
  if (depth < 0) throw new CanonicalJsonError('The value is nested too deeply.');
  switch (typeof value) {
    case 'string':
      return writeString(value);
    case 'number':
      if (!anyNumbers && !Number.isSafeInteger(value)) {
        throw new CanonicalJsonError('A number is not an integer between -(2^53-1) and 2^53-1.');
      }
      return writeNumber(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      break;
    default:
      throw new CanonicalJsonError(`A value of type ${typeof value} is not JSON.`);
  }
  if (value === null) return 'null';
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth - 1, anyNumbers)).join(',')}]`;
  const parts: string[] = [];
  for (const key of Object.keys(value).sort(compareCodePoints)) {
    const item = value[key];
    if (item === undefined) throw new CanonicalJsonError('A member is undefined.');
    parts.push(`${writeString(key)}:${write(item, depth - 1, anyNumbers)}`);
  }
  return `{${parts.join(',')}}`;
}

/** What `write` writes, piece by piece. */
function* pieces(value: JsonValue, depth: number): Generator<string> {
  if (depth < 0) throw new CanonicalJsonError('The value is nested too deeply.');
  if (typeof value !== 'object' || value === null) {
    yield write(value, depth, true);
  } else if (Array.isArray(value)) {
    yield '[';
    for (const [index, item] of value.entries()) {
      if (index > 0) yield ',';
      yield* pieces(item, depth - 1);
    }
    yield ']';
  } else {
    let separator = '{';
    for (const key of Object.keys(value).sort(compareCodePoints)) {
      const item = value[key];
      if (item === undefined) throw new CanonicalJsonError('A member is undefined.');
      yield `${separator}${writeString(key)}:`;
      yield* pieces(item, depth - 1);
      separator = ',';
    }
    yield separator === '{' ? '{}' : '}';
  }
}

function writeNumber(value: number): string {
  if (value === 0 || Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-([0-9])$/, 'e-0$1');
}

function writeString(text: string): string {
  if (!text.isWellFormed()) throw new CanonicalJsonError('A string contains a lone surrogate.');
  return JSON.stringify(text);
}

const PLAIN_CHARACTERS = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const FOUR_HEX = /^[0-9a-fA-F]{4}$/;
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** A container that is being read, and for an object the member whose value comes next. */
type Open =
  | { readonly kind: 'object'; readonly object: JsonObject; key: string; members: number }
  | { readonly kind: 'array'; readonly items: JsonValue[] };

/** Most members of one object: they are sorted in one go. A query for the devices of so many users is one object. */
const MAX_MEMBERS = 100_000;

/** Returns what to put in place of a number, given its text. */
type WrittenNumber = (token: string, isCanonical: boolean) => string;

/** The clock is read once for this many values. */
const VALUES_PER_LOOK = 512;
const DIGIT_0 = 0x30;
/** Integers of up to this many digits are always safe. */
const SAFE_DIGITS = 15;

/**
 * The prototype of all parsed objects. They inherit nothing under any string key, so that each key can be a member. They
 * have a primitive value, because comparing them with a number, where one was expected, would throw otherwise.
 */
const PLAIN: object = Object.freeze(
  Object.create(null, { [Symbol.toPrimitive]: { value: () => '[object]' } }) as object,
);

/** Parses with its own stack, so that it can pause anywhere and nesting cannot overflow the call stack. */
class Parser {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #anyNumbers: boolean;
  readonly #writtenNumber: WrittenNumber | undefined;
  readonly #open: Open[] = [];
  #at = 0;
  #value: JsonValue | undefined;

  constructor(text: string, maxDepth: number, anyNumbers: boolean, writtenNumber?: WrittenNumber) {
    this.#text = text;
    this.#maxDepth = maxDepth;
    this.#anyNumbers = anyNumbers;
    this.#writtenNumber = writtenNumber;
  }

  parse(): JsonValue {
    this.advance(Infinity);
    return this.value;
  }

  /** The parsed value, once `advance` has reached the end. */
  get value(): JsonValue {
    if (this.#value === undefined) throw new TypeError('The text was not parsed to its end.');
    return this.#value;
  }

  /** Continues until a time of `performance.now()`. @returns whether the end was reached */
  advance(until: number): boolean {
    for (let count = 1; ; count++) {
      if (count % VALUES_PER_LOOK === 0 && performance.now() > until) return false;
      let value = this.#next();
      // A container was opened: its first value comes next.
      if (value === undefined) continue;
      for (;;) {
        const inside = this.#open.at(-1);
        if (inside === undefined) {
          this.#skipWhitespace();
          if (this.#at < this.#text.length) this.#notJson('Unexpected text after the value');
          this.#value = value;
          return true;
        }
        if (inside.kind === 'object') {
          inside.object[inside.key] = value;
          if (!this.#ends('}')) {
            inside.key = this.#memberName(inside);
            break;
          }
          value = inside.object;
        } else {
          inside.items.push(value);
          if (!this.#ends(']')) break;
          value = inside.items;
        }
        this.#open.pop();
      }
    }
  }

  /** The next value, or undefined when a non-empty container was opened. */
  #next(): JsonValue | undefined {
    this.#skipWhitespace();
    switch (this.#text[this.#at]) {
      case '{': {
        this.#enter();
        const object = Object.create(PLAIN) as JsonObject;
        if (this.#closes('}')) return object;
        const opened = { kind: 'object' as const, object, key: '', members: 0 };
        opened.key = this.#memberName(opened);
        this.#open.push(opened);
        return undefined;
      }
      case '[': {
        this.#enter();
        const items: JsonValue[] = [];
        if (this.#closes(']')) return items;
        this.#open.push({ kind: 'array', items });
        return undefined;
      }
      case '"':
        return this.#string();
      case 't':
        return this.#literal('true', true);
      case 'f':
        return this.#literal('false', false);
      case 'n':
        return this.#literal('null', null);
      default:
        return this.#number();
    }
  }

  /** The name of a member with its colon. */
  #memberName(open: { readonly object: JsonObject; members: number }): string {
    const { object } = open;
    if (++open.members > MAX_MEMBERS) this.#bad('An object has too many members');
    this.#skipWhitespace();
    if (this.#text[this.#at] !== '"') this.#notJson('Expected a member name');
    const start = this.#at;
    const key = this.#string();
    if (Object.hasOwn(object, key)) this.#bad('Duplicate member name', start);
    this.#skipWhitespace();
    if (this.#text[this.#at] !== ':') this.#notJson('Expected a colon');
    this.#at++;
    return key;
  }

  #enter(): void {
    if (this.#open.length >= this.#maxDepth) this.#bad('Nested too deeply');
    this.#at++;
  }

  // Whether the container ends right after its opening bracket.
  #closes(bracket: string): boolean {
    this.#skipWhitespace();
    if (this.#text[this.#at] !== bracket) return false;
    this.#at++;
    return true;
  }

  // Consumes a comma (false) or the closing bracket (true).
  #ends(bracket: string): boolean {
    this.#skipWhitespace();
    const next = this.#text[this.#at];
    if (next !== ',' && next !== bracket) this.#notJson(`Expected a comma or ${bracket}`);
    this.#at++;
    return next === bracket;
  }

  #string(): string {
    const start = this.#at;
    this.#at++;
    let result = '';
    for (;;) {
      PLAIN_CHARACTERS.lastIndex = this.#at;
      PLAIN_CHARACTERS.test(this.#text);
      result += this.#text.slice(this.#at, PLAIN_CHARACTERS.lastIndex);
      this.#at = PLAIN_CHARACTERS.lastIndex;
      const next = this.#text[this.#at];
      if (next === '"') break;
      if (next !== '\\') this.#notJson('Unexpected character or end in a string');
      result += this.#escape();
    }
    this.#at++;
    if (!result.isWellFormed()) this.#bad('Lone surrogate in a string', start);
    return result;
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!FOUR_HEX.test(digits)) this.#notJson('Malformed escape');
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const character = ESCAPES.get(letter);
    if (character === undefined) this.#notJson('Malformed escape');
    this.#at += 2;
    return character;
  }

  #number(): number | string {
    if (!this.#writtenNumber) {
      const short = this.#shortInteger();
      if (short !== undefined) return short;
    }
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) this.#notJson('Unexpected character or end');
    const value = Number(match[0]);
    const isInteger = match[1] === undefined && match[2] === undefined;
    if (!this.#anyNumbers) {
      if (!isInteger) this.#bad('A number has a fraction or an exponent');
      if (!Number.isSafeInteger(value)) this.#bad('An integer is out of range');
    }
    if (!Number.isFinite(value)) this.#bad('A number is out of range');
    if (Object.is(value, -0)) this.#bad('Negative zero');
    this.#at = NUMBER.lastIndex;
    return this.#writtenNumber?.(match[0], isInteger && Number.isSafeInteger(value)) ?? value;
  }

  /** A short unsigned integer followed by a delimiter, as most numbers are; undefined for any other. */
  #shortInteger(): number | undefined {
    const first = this.#text.charCodeAt(this.#at) - DIGIT_0;
    if (!(first >= 1 && first <= 9)) return undefined;
    let value = first;
    for (let at = this.#at + 1; at < this.#at + SAFE_DIGITS; at++) {
      const unit = this.#text.charCodeAt(at);
      if (unit >= DIGIT_0 && unit <= DIGIT_0 + 9) {
        value = value * 10 + unit - DIGIT_0;
        continue;
      }
      // A fraction or an exponent follows.
      if (unit === 0x2e || unit === 0x45 || unit === 0x65) return undefined;
      this.#at = at;
      return value;
    }
    return undefined;
  }

  #literal<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#notJson('Unexpected character');
    this.#at += word.length;
    return value;
  }

  #skipWhitespace(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.#at++;
    }
  }

  #notJson(message: string): never {
    throw new JsonParseError('M_NOT_JSON', message, this.#at);
  }

  #bad(message: string, offset = this.#at): never {
    throw new JsonParseError('M_BAD_JSON', message, offset);
  }
}

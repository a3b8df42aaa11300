import { randomUUID } from 'node:crypto';

/** Any JSON value. Numbers are integers wherever a value came from `parseStrict`. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;
export type JsonObject = { [k: string]: JsonValue };

/** Nesting beyond this is refused by the parser. */
export const MAX_DEPTH = 100;

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
 * Reads an own member of a foreign object. A plain `object[key]` would find `constructor` and the like on the
 * prototype when the key is chosen by somebody else.
 */
export function member(object: JsonObject | undefined, key: string): JsonValue | undefined {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * Parses JSON text that has to obey the rules of canonical JSON, looking at the source and not only at the values:
 * `1.0`, `1e3`, `-0` and integers beyond ±(2^53-1) are refused although JavaScript could read them, because other
 * servers drop events that contain them. Duplicate keys, lone surrogates and nesting deeper than 100 are refused too.
 * Objects have no prototype, so that the key `__proto__` is a member like any other.
 *
 * It does not use `JSON.parse`, which loses the source, and which in Node 24.21 reads `{"a":1,"\n":2}` with the member
 * name of an earlier `{"a":1,"\\":2}`.
 *
 * @throws JsonParseError `M_NOT_JSON` when the text is not JSON, `M_BAD_JSON` when it is JSON that we refuse.
 * @see Matrix specification, appendices, "Canonical JSON"
 */
export function parseStrict(text: string): JsonValue {
  return new Parser(text, false).parse();
}

/**
 * Like `parseStrict`, but keeps numbers that canonical JSON has no form for. Only for what nobody signs, such as account
 * data, and for texts that hold several events, of which a bad one must not spoil the others: an event that is taken
 * from it has to go through `canonicalJson` before use.
 *
 * @throws JsonParseError
 */
export function parseWithAnyNumbers(text: string): JsonValue {
  return new Parser(text, true).parse();
}

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
 * What `parseWithAnyNumbers` read, as its sender must have written it to sign it: numbers in their shortest form. As
 * there is no rule for those, they are written as Python does, whose servers write them anew before they compare.
 *
 * @throws CanonicalJsonError as `canonicalJson` does, but for no number
 */
export function canonicalJsonWithAnyNumbers(value: JsonValue): string {
  return write(value, MAX_WRITTEN_DEPTH, true);
}

/**
 * The canonical JSON of a text, but for its numbers, which stay as they are: senders also sign `1.0`.
 *
 * @throws JsonParseError
 * @throws CanonicalJsonError
 */
export function canonicalJsonAsWritten(text: string): string {
  const mark = randomUUID();
  const numbers: string[] = [];
  const marked = text.replace(STRING_OR_NUMBER, (token) =>
    token.startsWith('"') ? token : `"${mark}${String(numbers.push(token) - 1)}"`,
  );
  // What is no number although it looks like one is no JSON either.
  parseWithAnyNumbers(text);
  return canonicalJson(parseStrict(marked)).replace(
    new RegExp(`"${mark}([0-9]+)"`, 'g'),
    (_marked, index: string) => numbers[Number(index)] ?? '',
  );
}

const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|[-+.0-9][-+.0-9eE]*/gs;

// Values that we wrap around a parsed one may be a little deeper than what the parser accepts.
const MAX_WRITTEN_DEPTH = MAX_DEPTH + 20;

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

class Parser {
  readonly #text: string;
  readonly #anyNumbers: boolean;
  #at = 0;

  constructor(text: string, anyNumbers: boolean) {
    this.#text = text;
    this.#anyNumbers = anyNumbers;
  }

  parse(): JsonValue {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#notJson('Unexpected text after the value');
    return value;
  }

  #value(depth: number): JsonValue {
    this.#space();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth + 1);
      case '[':
        return this.#array(depth + 1);
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): JsonObject {
    this.#enter(depth);
    const object = Object.create(null) as JsonObject;
    if (this.#closes('}')) return object;
    for (;;) {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#notJson('Expected a member name');
      const start = this.#at;
      const key = this.#string();
      if (Object.hasOwn(object, key)) this.#bad('Duplicate member name', start);
      this.#space();
      if (this.#text[this.#at] !== ':') this.#notJson('Expected a colon');
      this.#at++;
      object[key] = this.#value(depth);
      if (this.#ends('}')) return object;
    }
  }

  #array(depth: number): JsonValue[] {
    this.#enter(depth);
    const items: JsonValue[] = [];
    if (this.#closes(']')) return items;
    for (;;) {
      items.push(this.#value(depth));
      if (this.#ends(']')) return items;
    }
  }

  #enter(depth: number): void {
    if (depth > MAX_DEPTH) this.#bad('Nested too deeply');
    this.#at++;
  }

  // Whether the container ends right after its opening bracket.
  #closes(bracket: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== bracket) return false;
    this.#at++;
    return true;
  }

  // Consumes a comma (false) or the closing bracket (true).
  #ends(bracket: string): boolean {
    this.#space();
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

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) this.#notJson('Unexpected character or end');
    const value = Number(match[0]);
    if (!this.#anyNumbers) {
      if (match[1] !== undefined || match[2] !== undefined) this.#bad('A number has a fraction or an exponent');
      if (!Number.isSafeInteger(value)) this.#bad('An integer is out of range');
    }
    if (!Number.isFinite(value)) this.#bad('A number is out of range');
    if (Object.is(value, -0)) this.#bad('Negative zero');
    this.#at = NUMBER.lastIndex;
    return value;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#notJson('Unexpected character');
    this.#at += word.length;
    return value;
  }

  #space(): void {
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

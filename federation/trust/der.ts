/** Thrown when bytes are not DER, or hold more than allowed. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** Where an element of DER is: its header from `start`, its contents from `contents` to `end`. */
export interface Element {
  /** Class, constructed bit and number. */
  readonly tag: number;
  readonly start: number;
  readonly contents: number;
  readonly end: number;
}

export const TAG = { integer: 0x02, bitString: 0x03, sequence: 0x30, set: 0x31, utcTime: 0x17, generalizedTime: 0x18 };

const CONSTRUCTED = 0x20;
const UNIVERSAL_CONSTRUCTED: ReadonlySet<number> = new Set([TAG.sequence, TAG.set]);
const MAX_DEPTH = 30;

/**
 * Reads the header of an element.
 *
 * @param end of what holds the element
 * @throws DerError for lengths that are indefinite, not minimal or beyond the end, and for tags of several bytes, which
 *   certificates do not have
 * @see ITU-T X.690, 8.1 and 10.1
 */
export function readElement(der: Uint8Array, start: number, end = der.length): Element {
  const tag = der[start];
  const first = der[start + 1];
  if (tag === undefined || first === undefined || start + 2 > end) throw new DerError('An element is cut off.');
  if ((tag & 0x1f) === 0x1f) throw new DerError('A tag has several bytes.');
  let length = first;
  let contents = start + 2;
  if (first >= 0x80) {
    const octets = der.subarray(contents, contents + (first & 0x7f));
    if (octets.length === 0 || octets.length > 4) throw new DerError('A length is indefinite or too large.');
    length = octets.reduce((sum, octet) => sum * 256 + octet, 0);
    if (octets[0] === 0 || length < 0x80) throw new DerError('A length is not minimal.');
    contents += octets.length;
  }
  if (contents + length > end) throw new DerError('An element is longer than what holds it.');
  return { tag, start, contents, end: contents + length };
}

/** The elements inside a constructed one. @throws DerError */
export function* childrenOf(der: Uint8Array, parent: Element): Generator<Element> {
  for (let at = parent.contents; at < parent.end;) {
    const child = readElement(der, at, parent.end);
    yield child;
    at = child.end;
  }
}

/**
 * Checks that bytes are one element of DER, so that two readers cannot see two things in them.
 *
 * @param maxElements more are refused, so that building objects of them stays cheap
 * @throws DerError
 */
export function checkDer(der: Uint8Array, maxElements: number): void {
  const root = readElement(der, 0);
  if (root.end !== der.length) throw new DerError('There are bytes after the end.');
  let count = 0;
  // Level by level, because a stack of calls could overflow.
  let level = [root];
  for (let depth = 0; level.length > 0; depth++) {
    count += level.length;
    if (depth > MAX_DEPTH) throw new DerError(`It is nested more than ${MAX_DEPTH} deep.`);
    const next: Element[] = [];
    for (const element of level) {
      if ((element.tag & CONSTRUCTED) === 0) continue;
      const isUniversal = (element.tag & 0xc0) === 0;
      if (isUniversal && !UNIVERSAL_CONSTRUCTED.has(element.tag)) throw new DerError('A string comes in pieces.');
      for (const child of childrenOf(der, element)) {
        if (next.push(child) + count > maxElements) throw new DerError(`It has more than ${maxElements} elements.`);
      }
    }
    level = next;
  }
}

/** Encodes an element. */
export function writeElement(tag: number, contents: Uint8Array): Buffer {
  const octets: number[] = [];
  for (let rest = contents.length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  const header = contents.length < 0x80 ? [tag, contents.length] : [tag, 0x80 | octets.length, ...octets];
  return Buffer.concat([Buffer.from(header), contents]);
}

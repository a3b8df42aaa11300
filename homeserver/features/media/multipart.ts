/**
 * `multipart/mixed` as used between servers: a part with JSON, and one with the file or its location.
 *
 * @see Matrix specification, server-server API, "Content Repository"; RFC 2046, section 5.1
 */
import { randomBytes } from 'node:crypto';

/** Thrown when a multipart response is malformed. */
export class MultipartError extends Error {
  override readonly name = 'MultipartError';
  readonly code = 'MULTIPART';
}

const MAX_PREAMBLE = 16 * 1024;
const MAX_HEADERS = 16 * 1024;
const LINE = Buffer.from('\r\n');
const END_OF_HEADERS = Buffer.from('\r\n\r\n');

/** The boundary of a content type, or undefined when it is not `multipart/mixed`. */
export function boundaryOf(contentType: string | undefined): string | undefined {
  const match = /^\s*multipart\/mixed\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)/i.exec(
    contentType ?? '',
  );
  const boundary = match?.[1] ?? match?.[2];
  return boundary !== undefined && /^[A-Za-z0-9'()+_,./:=? -]+$/.test(boundary) ? boundary : undefined;
}

/** What goes before and after a file, and the content type of the whole. */
export function multipartAround(headers: Readonly<Record<string, string>>): {
  readonly contentType: string;
  readonly head: Buffer;
  readonly tail: Buffer;
} {
  const boundary = randomBytes(24).toString('hex');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return {
    contentType: `multipart/mixed; boundary=${boundary}`,
    head: Buffer.from(
      `--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary}\r\n${lines.join('')}\r\n`,
    ),
    tail: Buffer.from(`\r\n--${boundary}--\r\n`),
  };
}

/** Reads one part after the other, buffering no more than the stream delivers at once. */
export class MultipartReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #delimiter: Buffer;
  // No line break is needed before the first boundary.
  #rest: Buffer = LINE;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>, boundary: string) {
    this.#source = source[Symbol.asyncIterator]();
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /**
   * Skips to the next part. @returns its headers with names in lower case; undefined after the last part
   *
   * @throws MultipartError
   */
  async next(): Promise<ReadonlyMap<string, string> | undefined> {
    let skipped = 0;
    for await (const chunk of this.content()) {
      skipped += chunk.length;
      if (skipped > MAX_PREAMBLE) throw new MultipartError('The preamble before a boundary is too long.');
    }
    this.#rest = this.#rest.subarray(this.#delimiter.length);
    await this.#atLeast(2);
    if (this.#rest[0] === 0x2d && this.#rest[1] === 0x2d) return undefined;
    const end = await this.#find(END_OF_HEADERS, MAX_HEADERS);
    const text = this.#rest.subarray(0, end).toString('utf8');
    this.#rest = this.#rest.subarray(end + END_OF_HEADERS.length);
    const [afterBoundary = '', ...lines] = text.split('\r\n');
    if (afterBoundary.trim() !== '') throw new MultipartError('A boundary line has trailing text.');
    const headers = new Map<string, string>();
    for (const line of lines) {
      const [, name, value] = /^([A-Za-z0-9-]{1,100}):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
      if (name === undefined || value === undefined) throw new MultipartError('A header of a part is malformed.');
      headers.set(name.toLowerCase(), value);
    }
    return headers;
  }

  /**
   * The bytes of the part up to the next boundary.
   *
   * @throws MultipartError when the stream ends earlier
   */
  async *content(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const at = this.#rest.indexOf(this.#delimiter);
      // The buffered data may end with the start of a boundary.
      const safe = at < 0 ? this.#rest.length - this.#delimiter.length + 1 : at;
      if (safe > 0) {
        const chunk = this.#rest.subarray(0, safe);
        this.#rest = this.#rest.subarray(safe);
        yield chunk;
      }
      if (at >= 0) return;
      await this.#more();
    }
  }

  /** Closes the stream, wherever it is. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #find(bytes: Buffer, max: number): Promise<number> {
    for (;;) {
      const at = this.#rest.indexOf(bytes);
      if (at >= 0) return at;
      if (this.#rest.length > max) throw new MultipartError('The headers of a part are too long.');
      await this.#more();
    }
  }

  async #atLeast(length: number): Promise<void> {
    while (this.#rest.length < length) await this.#more();
  }

  async #more(): Promise<void> {
    if (this.#ended) throw new MultipartError('The response ends too early.');
    const step = await this.#source.next();
    if (step.done === true) this.#ended = true;
    else this.#rest = Buffer.concat([this.#rest, step.value]);
  }
}

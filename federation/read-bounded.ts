import type { Readable } from 'node:stream';

/** Thrown when a body is longer than allowed or not UTF-8. */
export class BodyError extends Error {
  override readonly name = 'BodyError';
  readonly code: 'TOO_LARGE' | 'NOT_UTF8';

  constructor(code: 'TOO_LARGE' | 'NOT_UTF8', message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Reads a body and gives up, closing the stream, as soon as it is longer than `maxBytes`.
 *
 * @throws BodyError, or what the stream fails with
 */
export async function readBytes(body: Readable, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop destroys the stream.
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw new BodyError('TOO_LARGE', `The answer is longer than ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * The same, as UTF-8.
 *
 * @throws BodyError, or what the stream fails with
 */
export async function readBounded(body: Readable, maxBytes: number): Promise<string> {
  const bytes = await readBytes(body, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new BodyError('NOT_UTF8', 'The answer is not UTF-8.');
  }
}

/** Serves files by HTTP. */
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import type { Request, Response } from 'express';
import { contentDisposition, FILE_HEADERS } from './headers.ts';
import type { Media } from './media.ts';
import type { StoredMedia } from './media-store.ts';
import { multipartAround } from './multipart.ts';

/** Media never change, but only the authenticated client may cache them. */
const CACHE_CONTROL = 'private, max-age=86400, immutable';

/** Serves a file, or the requested range of it, to a client. */
export async function serveFile(request: Request, response: Response, media: Media, file: StoredMedia): Promise<void> {
  const etag = `"${file.sha256}"`;
  const headers = {
    ...FILE_HEADERS,
    'Content-Type': file.contentType,
    'Content-Disposition': contentDisposition(file.contentType, file.fileName),
    'Cache-Control': CACHE_CONTROL,
    ETag: etag,
    'Accept-Ranges': 'bytes',
  };
  // Express would guess a charset for texts, which nobody declared.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (request.headers['if-none-match'] === etag) {
    response.status(304).end();
    return;
  }
  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? rangeOf(request.headers.range, file.size) : undefined;
  if (range === 'outside') {
    response.set('Content-Range', `bytes */${String(file.size)}`).removeHeader('Content-Disposition');
    response.status(416).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  response.status(range === undefined ? 200 : 206);
  response.set('Content-Length', String(end - start + 1));
  if (range !== undefined) response.set('Content-Range', `bytes ${String(start)}-${String(end)}/${String(file.size)}`);
  if (request.method === 'HEAD' || file.size === 0) {
    response.end();
    return;
  }
  await send(media.read(file, { start, end }), response);
}

/** Serves a file to another server as `multipart/mixed`. */
export async function serveMultipart(response: Response, media: Media, file: StoredMedia): Promise<void> {
  const { contentType, head, tail } = multipartAround({
    'Content-Type': file.contentType,
    'Content-Disposition': contentDisposition(file.contentType, file.fileName),
  });
  response.setHeader('Content-Type', contentType);
  response.setHeader('Content-Length', head.length + file.size + tail.length);
  await send(around(head, media.read(file), tail), response);
}

async function* around(head: Buffer, body: Readable, tail: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  yield head;
  for await (const chunk of body as AsyncIterable<Uint8Array>) yield chunk;
  yield tail;
}

async function send(body: Readable | AsyncIterable<Uint8Array>, response: Response): Promise<void> {
  try {
    await pipeline(body, response);
  } catch (error) {
    // The client has disconnected.
    if (!response.destroyed || !(error instanceof Error) || !('code' in error)) throw error;
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE' && error.code !== 'ECONNRESET' && error.code !== 'EPIPE')
      throw error;
  }
}

/** A single byte range; undefined for a header that we do not support, which means the whole file. */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | 'outside' | undefined {
  const [, first, last] = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start > end ? 'outside' : { start, end };
}

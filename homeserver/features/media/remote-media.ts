/** Fetches media from other servers. */
import type { Readable } from 'node:stream';
import { FederationError } from '../../../federation/client.ts';
import type { FederationAnswer, FederationClient } from '../../../federation/client.ts';
import { MatrixError } from '../../base/errors.ts';
import { refusedByUs, UntrustedError } from '../../engine/trust/trust.ts';
import { TooLargeError } from './blobs.ts';
import type { Blobs, Received } from './blobs.ts';
import { cleanContentType, fileNameOf } from './headers.ts';
import type { MediaInfo } from './media-store.ts';
import { boundaryOf, MultipartError, MultipartReader } from './multipart.ts';
import { brokeOff, FetchError, single } from '../../base/safe-fetch.ts';
import type { SafeFetch } from '../../base/safe-fetch.ts';

export interface RemoteFile extends MediaInfo {
  readonly file: Received;
}

export interface RemoteMediaOptions {
  readonly client: Pick<FederationClient, 'open'>;
  readonly blobs: Blobs;
  /** For media that another server redirects to. */
  readonly fetch: SafeFetch;
  /** Largest file, in bytes. */
  readonly maxBytes: number;
}

/** Time limit from the request to the last byte, in ms. */
const TIMEOUT_MS = 120_000;
/** How long the other server may wait for a pending upload, in ms. */
const PATIENCE_MS = 20_000;
const MAX_JSON_BYTES = 64 * 1024;

export class RemoteMedia {
  readonly #options: RemoteMediaOptions;

  constructor(options: RemoteMediaOptions) {
    this.#options = options;
  }

  /**
   * Fetches media; the caller keeps or discards the file. A server without the federation endpoint is asked by the
   * deprecated client endpoint.
   *
   * @throws MatrixError 404 M_NOT_FOUND, 504 M_NOT_YET_UPLOADED, 403 M_FORBIDDEN when we do not federate with that server,
   *   502 M_TOO_LARGE, or 502 M_UNKNOWN
   */
  async fetch(server: string, mediaId: string): Promise<RemoteFile> {
    const id = encodeURIComponent(mediaId);
    try {
      const answer = await this.#open(
        server,
        `/_matrix/federation/v1/media/download/${id}?timeout_ms=${String(PATIENCE_MS)}`,
      ).catch((error: unknown) => {
        if (isUnknownToThem(error)) return undefined;
        throw error;
      });
      if (answer !== undefined) return await this.#multipart(answer);
      const name = encodeURIComponent(server);
      const query = `allow_remote=false&allow_redirect=true&timeout_ms=${String(PATIENCE_MS)}`;
      return await this.#plain(await this.#open(server, `/_matrix/media/v3/download/${name}/${id}?${query}`, false));
    } catch (error) {
      throw failure(server, error);
    }
  }

  async #open(server: string, path: string, signed = true): Promise<FederationAnswer> {
    const request = {
      destination: server,
      method: 'GET',
      onBehalfOf: 'room',
      path,
      signed,
      timeoutMs: TIMEOUT_MS,
    } as const;
    return this.#options.client.open(request);
  }

  async #multipart({ status, headers, body }: FederationAnswer): Promise<RemoteFile> {
    const boundary = boundaryOf(single(headers['content-type']));
    if (status !== 200 || boundary === undefined) {
      body.destroy();
      throw new MultipartError('The response is not multipart/mixed.');
    }
    const reader = new MultipartReader(body as AsyncIterable<Uint8Array>, boundary);
    let file: Received | undefined;
    try {
      if ((await reader.next()) === undefined) throw new MultipartError('The response has no parts.');
      // The JSON part has no defined content yet.
      await skip(reader.content(), MAX_JSON_BYTES);
      const part = await reader.next();
      if (part === undefined) throw new MultipartError('The response has only one part.');
      const location = part.get('location');
      if (location !== undefined) {
        await reader.close();
        return await this.#elsewhere(location);
      }
      file = await this.#options.blobs.receive(reader.content(), this.#options.maxBytes);
      if ((await reader.next()) !== undefined) throw new MultipartError('The response has more than two parts.');
      return {
        file,
        contentType: cleanContentType(part.get('content-type')),
        fileName: fileNameOf(part.get('content-disposition')),
      };
    } catch (error) {
      if (file !== undefined) await this.#options.blobs.discard(file);
      throw error;
    } finally {
      await reader.close();
      body.destroy();
    }
  }

  async #plain({ status, headers, body }: FederationAnswer): Promise<RemoteFile> {
    const location = single(headers['location']);
    if (status >= 300 && location !== undefined) {
      body.destroy();
      return this.#elsewhere(location);
    }
    return this.#file(headers, body);
  }

  async #elsewhere(location: string): Promise<RemoteFile> {
    return this.#options.fetch.get(location, '*/*', ({ headers, body }) => this.#file(headers, body));
  }

  async #file(headers: FederationAnswer['headers'], body: Readable): Promise<RemoteFile> {
    return {
      file: await this.#options.blobs.receive(body as AsyncIterable<Uint8Array>, this.#options.maxBytes),
      contentType: cleanContentType(single(headers['content-type'])),
      fileName: fileNameOf(single(headers['content-disposition'])),
    };
  }
}

/** Whether the other server lacks the endpoint, rather than the file. */
function isUnknownToThem(error: unknown): boolean {
  if (!(error instanceof FederationError) || error.code !== 'REFUSED') return false;
  const { status = 0, errcode } = error;
  // An error without a Matrix error code comes from a server without this endpoint.
  return errcode === 'M_UNRECOGNIZED' || (errcode === undefined && status >= 400 && status < 500);
}

async function skip(content: AsyncIterable<Uint8Array>, max: number): Promise<void> {
  let length = 0;
  for await (const chunk of content) {
    length += chunk.length;
    if (length > max) throw new MultipartError('The JSON part of the response is too long.');
  }
}

function failure(server: string, error: unknown): unknown {
  if (error instanceof TooLargeError) {
    return new MatrixError(502, 'M_TOO_LARGE', 'The file is larger than this server accepts.');
  }
  if (error instanceof FederationError) {
    if (error instanceof UntrustedError) return refusedByUs(error);
    if (error.code === 'NOT_ALLOWED') return new MatrixError(403, 'M_FORBIDDEN', error.message);
    if (error.errcode === 'M_NOT_YET_UPLOADED') {
      return new MatrixError(504, 'M_NOT_YET_UPLOADED', 'Media has not been uploaded yet');
    }
    if (error.status === 404) return new MatrixError(404, 'M_NOT_FOUND', 'No such media.');
    return new MatrixError(502, 'M_UNKNOWN', error.message);
  }
  const isTheirs = error instanceof MultipartError || error instanceof FetchError || brokeOff(error);
  return isTheirs ? new MatrixError(502, 'M_UNKNOWN', `${server} did not provide the file.`) : error;
}

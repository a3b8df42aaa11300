/**
 * The media repository in the Matrix client-server API.
 *
 * @see Matrix specification, client-server API, "Content Repository"
 */
import type { IncomingMessage } from 'node:http';
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { methods, MatrixError } from '../../base/errors.ts';
import { cleanContentType, cleanFileName } from './headers.ts';
import type { FindOptions, Media } from './media.ts';
import type { MediaInfo, ThumbnailKey } from './media-store.ts';
import type { UrlPreviews } from './url-previews.ts';
import { serveFile } from './serve.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface MediaRouterOptions {
  readonly serverName: string;
  readonly media: Media;
  /** Absent when URL previews are off. */
  readonly previews?: UrlPreviews;
  /** Whether the deprecated unauthenticated endpoints serve files to everybody. */
  readonly unauthenticated: boolean;
  readonly requireSession: RequestHandler;
  /** Rate limit for uploads; after `requireSession`. */
  readonly limitUploads: RequestHandler;
  readonly limitAnonymous: RequestHandler;
}

const PATIENCE_MS = 20_000;
const MAX_PATIENCE_MS = 60_000;
const MAX_SIDE = 10_000;
const LINGER_MS = 1_000;
const OLD = ['v3', 'r0', 'v1'];

/** Mounted at `/_matrix`. */
export function mediaRouter(options: MediaRouterOptions): Router {
  const { serverName, media, previews, requireSession, limitUploads, limitAnonymous } = options;
  const router = express.Router();

  const upload = async (request: Request, response: Response): Promise<void> => {
    const mediaId = await received(request, media.maxBytes, (body) =>
      media.upload(requesterOf(response).userId, body, infoOf(request)),
    );
    response.json({ content_uri: `mxc://${serverName}/${mediaId}` });
  };
  const config = (_request: Request, response: Response): void => {
    response.json({ 'm.upload.size': media.maxBytes });
  };
  const download = async (request: Request, response: Response, allowRemote: boolean): Promise<void> => {
    const [origin, mediaId] = [parameter(request, 'server'), parameter(request, 'mediaId')];
    const file = await media.find(origin, mediaId, findOptions(request, response, allowRemote));
    const fileName = request.params['fileName'] === undefined ? file.fileName : nameInPath(request);
    await serveFile(request, response, media, { ...file, fileName });
  };
  const thumbnail = async (request: Request, response: Response, allowRemote: boolean): Promise<void> => {
    const [origin, mediaId] = [parameter(request, 'server'), parameter(request, 'mediaId')];
    const asked = thumbnailOf(request);
    const file = await media.thumbnail(origin, mediaId, asked, findOptions(request, response, allowRemote));
    await serveFile(request, response, media, { ...file, fileName: `thumbnail.${file.contentType.slice(6)}` });
  };
  const preview = async (request: Request, response: Response): Promise<void> => {
    const url = queryText(request, 'url');
    if (url === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', 'url is missing.');
    response.json(await previews?.preview(url));
  };

  const files = { download, 'download/:fileName': download, thumbnail };
  for (const [name, serve] of Object.entries(files)) {
    const [kind = '', ...end] = name.split('/');
    const path = [kind, ':server', ':mediaId', ...end].join('/');
    methods(router, `/client/v1/media/${path}`, {
      get: [requireSession, (request, response) => serve(request, response, true)],
    });
    for (const version of OLD) {
      methods(router, `/media/${version}/${path}`, {
        get: [
          limitAnonymous,
          async (request, response) => {
            if (!options.unauthenticated) await refuse(media, serverName, request, response);
            await serve(request, response, queryText(request, 'allow_remote') !== 'false');
          },
        ],
      });
    }
  }
  methods(router, '/client/v1/media/config', { get: [requireSession, config] });
  if (previews) methods(router, '/client/v1/media/preview_url', { get: [requireSession, limitUploads, preview] });
  for (const version of OLD) {
    methods(router, `/media/${version}/upload`, { post: [requireSession, limitUploads, upload] });
    methods(router, `/media/${version}/config`, { get: [requireSession, config] });
    if (previews) methods(router, `/media/${version}/preview_url`, { get: [requireSession, limitUploads, preview] });
  }
  methods(router, '/media/v1/create', {
    post: [
      requireSession,
      limitUploads,
      async (_request, response) => {
        const { mediaId, expiresAt } = await media.create(requesterOf(response).userId);
        response.json({ content_uri: `mxc://${serverName}/${mediaId}`, unused_expires_at: expiresAt });
      },
    ],
  });
  methods(router, '/media/v3/upload/:server/:mediaId', {
    put: [
      requireSession,
      limitUploads,
      async (request, response) => {
        const [origin, mediaId] = [parameter(request, 'server'), parameter(request, 'mediaId')];
        await received(request, media.maxBytes, (body) =>
          media.complete(requesterOf(response).userId, origin, mediaId, body, infoOf(request)),
        );
        response.json({});
      },
    ],
  });
  return router;
}

/**
 * Unauthenticated downloads are frozen: nothing is served. Only that an upload is pending is revealed: media ids cannot
 * be guessed.
 *
 * @throws MatrixError always
 */
async function refuse(media: Media, serverName: string, request: Request, response: Response): Promise<never> {
  if (request.params['server'] === serverName) {
    await media.find(serverName, parameter(request, 'mediaId'), findOptions(request, response, false));
  }
  throw new MatrixError(404, 'M_NOT_FOUND', 'No such media.');
}

/**
 * Streams a request body. After an error the rest is read and discarded for a while: if the connection was closed at
 * once, the sender would see that instead of the error.
 */
async function received<T>(
  request: IncomingMessage,
  maxBytes: number,
  read: (body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  try {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
      throw new MatrixError(413, 'M_TOO_LARGE', `A file may have at most ${String(maxBytes)} bytes.`);
    }
    // Leaving the loop must not close the connection before the response is sent.
    return await read(request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>);
  } catch (error) {
    setTimeout(() => request.complete || request.destroy(), LINGER_MS).unref();
    if (request.destroyed && !request.complete)
      throw new MatrixError(400, 'M_UNKNOWN', 'The upload was incomplete. Send the file again.');
    throw error;
  }
}

function infoOf(request: Request): MediaInfo {
  return {
    contentType: cleanContentType(request.headers['content-type']),
    fileName: cleanFileName(queryText(request, 'filename')),
  };
}

/** The requested file name. */
function nameInPath(request: Request): string | undefined {
  return cleanFileName(parameter(request, 'fileName'));
}

function findOptions(request: Request, response: Response, allowRemote: boolean): FindOptions {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return {
    timeoutMs: queryNumber(request, 'timeout_ms', PATIENCE_MS, MAX_PATIENCE_MS),
    allowRemote,
    signal: gone.signal,
  };
}

function thumbnailOf(request: Request): ThumbnailKey {
  const method = queryText(request, 'method') ?? 'scale';
  if (method !== 'crop' && method !== 'scale') {
    throw new MatrixError(400, 'M_INVALID_PARAM', 'method must be crop or scale.');
  }
  for (const name of ['width', 'height']) {
    if (queryText(request, name) === undefined) throw new MatrixError(400, 'M_MISSING_PARAM', `${name} is missing.`);
  }
  const [width, height] = [queryNumber(request, 'width', 0, MAX_SIDE), queryNumber(request, 'height', 0, MAX_SIDE)];
  if (width === 0 || height === 0) throw new MatrixError(400, 'M_INVALID_PARAM', 'width and height must be positive.');
  return { width, height, method, animated: queryText(request, 'animated') === 'true' };
}

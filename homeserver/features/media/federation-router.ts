/** The media repository for other servers. @see Matrix specification, server-server API, "Content Repository" */
import type { Request, RequestHandler, Response, Router } from 'express';
import { methods, MatrixError } from '../../base/errors.ts';
import { serveMultipart } from './serve.ts';
import type { FindOptions, Media } from './media.ts';
import { signedRouter } from '../../engine/federation/authenticate.ts';

export interface MediaRouterOptions {
  readonly serverName: string;
  readonly media: Media;
  readonly signed: RequestHandler;
}

const PATIENCE_MS = 20_000;
const MAX_PATIENCE_MS = 60_000;
const MAX_SIDE = 10_000;

/** Mounted at `/_matrix/federation`. */
export function mediaRouter({ serverName, media, signed }: MediaRouterOptions): Router {
  const router = signedRouter(signed);

  methods(router, '/v1/media/download/:mediaId', {
    get: async (request, response) => {
      const file = await media.find(serverName, mediaIdOf(request), findOptions(request, response));
      await serveMultipart(response, media, file);
    },
  });

  methods(router, '/v1/media/thumbnail/:mediaId', {
    get: async (request, response) => {
      const { method = 'scale', animated } = request.query;
      if (method !== 'crop' && method !== 'scale') throw malformed('method');
      const key = {
        width: numberOf(request, 'width', undefined, MAX_SIDE),
        height: numberOf(request, 'height', undefined, MAX_SIDE),
        method,
        animated: animated === 'true',
      } as const;
      const file = await media.thumbnail(serverName, mediaIdOf(request), key, findOptions(request, response));
      await serveMultipart(response, media, file);
    },
  });

  return router;
}

function mediaIdOf(request: Request): string {
  const { mediaId } = request.params;
  if (typeof mediaId !== 'string') throw malformed('mediaId');
  return mediaId;
}

function findOptions(request: Request, response: Response): FindOptions {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const timeoutMs = numberOf(request, 'timeout_ms', PATIENCE_MS, MAX_PATIENCE_MS);
  return { timeoutMs, allowRemote: false, signal: gone.signal };
}

function numberOf(request: Request, name: string, fallback: number | undefined, max: number): number {
  const text = request.query[name];
  const value = text === undefined ? fallback : Number(text);
  if (value === undefined || !Number.isInteger(value) || value < 0) throw malformed(name);
  return Math.min(value, max);
}

function malformed(name: string): MatrixError {
  return new MatrixError(400, 'M_INVALID_PARAM', `${name} is missing or malformed.`);
}

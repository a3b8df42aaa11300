/**
 * Media administration, with the endpoints and formats of Synapse's admin API, for which there are tools.
 *
 * @see Synapse's admin API, "Media"
 */
import express from 'express';
import type { Request, RequestHandler, Router } from 'express';
import { methods, MatrixError } from '../../base/errors.ts';
import type { MediaAdmin } from './media-admin.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface MediaAdminRouterOptions {
  readonly serverName: string;
  readonly admin: MediaAdmin;
  readonly requireSession: RequestHandler;
}

const PAGE = 100;
const MAX_PAGE = 1_000;

const requireAdmin: RequestHandler = (_request, response, next) => {
  if (!requesterOf(response).admin) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not a server administrator.');
  next();
};

/** Mounted at `/_synapse/admin`. */
export function mediaAdminRouter({ serverName, admin, requireSession }: MediaAdminRouterOptions): Router {
  const router = express.Router();
  const before = [requireSession, requireAdmin];

  methods(router, '/v1/media/:server/:mediaId', {
    delete: [
      ...before,
      async (request, response) => {
        const [server, mediaId] = [parameter(request, 'server'), parameter(request, 'mediaId')];
        if (server !== serverName) {
          throw new MatrixError(400, 'M_UNKNOWN', 'Only media of this server can be deleted one by one.');
        }
        if (!(await admin.remove(mediaId))) throw new MatrixError(404, 'M_NOT_FOUND', 'No such media on this server.');
        response.json(removed([mediaId]));
      },
    ],
  });
  for (const [name, blocked] of [
    ['quarantine', true],
    ['unquarantine', false],
  ] as const) {
    methods(router, `/v1/media/${name}/:server/:mediaId`, {
      post: [
        ...before,
        async (request, response) => {
          await admin.block(parameter(request, 'server'), parameter(request, 'mediaId'), blocked);
          response.json({});
        },
      ],
    });
  }
  methods(router, '/v1/media/delete', {
    post: [
      ...before,
      async (request, response) => {
        const ids = await admin.removeUnused(
          moment(request),
          1 + queryNumber(request, 'size_gt', 0, Number.MAX_SAFE_INTEGER - 1),
        );
        response.json(removed(ids));
      },
    ],
  });
  methods(router, '/v1/purge_media_cache', {
    post: [
      ...before,
      async (request, response) => void response.json({ deleted: await admin.purgeCache(moment(request)) }),
    ],
  });
  methods(router, '/v1/users/:userId/media', {
    get: [
      ...before,
      async (request, response) => {
        const from = queryNumber(request, 'from', 0, Number.MAX_SAFE_INTEGER);
        const limit = Math.max(1, queryNumber(request, 'limit', PAGE, MAX_PAGE));
        const { files, total } = await admin.of(parameter(request, 'userId'), from, limit);
        response.json({
          media: files.map((file) => ({
            media_id: file.mediaId,
            media_type: file.contentType,
            media_length: file.size,
            upload_name: file.fileName ?? null,
            created_ts: file.createdAt,
            last_access_ts: file.usedAt,
            quarantined_by: file.blocked ? 'an administrator' : null,
            safe_from_quarantine: false,
          })),
          total,
          ...(from + files.length < total ? { next_token: from + files.length } : {}),
        });
      },
    ],
    delete: [
      ...before,
      async (request, response) => void response.json(removed(await admin.removeAllOf(parameter(request, 'userId')))),
    ],
  });
  return router;
}

function removed(ids: readonly string[]): { deleted_media: readonly string[]; total: number } {
  return { deleted_media: ids, total: ids.length };
}

function moment(request: Request): number {
  if (queryText(request, 'before_ts') === undefined) {
    throw new MatrixError(400, 'M_MISSING_PARAM', 'before_ts is missing.');
  }
  return queryNumber(request, 'before_ts', 0, Number.MAX_SAFE_INTEGER);
}

/** Aliases and public rooms for other servers. */
import type { Request, RequestHandler, Router } from 'express';
import type { Directory } from './directory.ts';
import { publicRoomsSchema } from './public-rooms.ts';
import type { PublicRooms } from './public-rooms.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { signedRouter } from '../../engine/federation/authenticate.ts';

export interface DirectoryRouterOptions {
  readonly serverName: string;
  readonly directory: Directory;
  readonly publicRooms: PublicRooms;
  readonly signed: RequestHandler;
}

/** Mounted at `/_matrix/federation`. */
export function directoryRouter({ serverName, directory, publicRooms, signed }: DirectoryRouterOptions): Router {
  const router = signedRouter(signed);

  methods(router, '/v1/query/directory', {
    get: async (request, response) => {
      const alias = request.query['room_alias'];
      if (typeof alias !== 'string' || !alias.startsWith('#')) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'room_alias is missing or malformed.');
      }
      if (!alias.endsWith(`:${serverName}`)) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'The alias does not belong to this server.');
      }
      const { roomId, servers } = await directory.resolveLocal(alias);
      response.json({ room_id: roomId, servers });
    },
  });

  methods(router, '/v1/publicRooms', {
    get: async (request, response) => {
      const { limit, since } = queryOf(request);
      response.json(
        await publicRooms.page({
          ...(limit === undefined ? {} : { limit }),
          ...(since === undefined ? {} : { since }),
        }),
      );
    },
    post: async (request, response) => {
      const parsed = publicRoomsSchema.safeParse(request.body);
      if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The request for public rooms is malformed.');
      response.json(await publicRooms.page(parsed.data));
    },
  });

  return router;
}

function queryOf(request: Request): { limit?: number; since?: string } {
  const { limit, since } = request.query;
  const number = limit === undefined ? undefined : Number(limit);
  if (number !== undefined && (!Number.isInteger(number) || number < 0)) {
    throw new MatrixError(400, 'M_INVALID_PARAM', 'limit is malformed.');
  }
  return {
    ...(number === undefined ? {} : { limit: number }),
    ...(typeof since === 'string' ? { since } : {}),
  };
}

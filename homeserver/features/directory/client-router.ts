/** Aliases and the room directory in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { isServerName } from '../../../federation/identifiers.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Directory } from './directory.ts';
import { publicRoomsSchema } from './public-rooms.ts';
import type { PublicRooms, PublicRoomsQuery } from './public-rooms.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Visibility } from '../../engine/visibility.ts';
import { parameter, parseBody, queryNumber, queryText, requesterIn, requesterOf } from '../../base/parse.ts';

export interface DirectoryRouterOptions {
  readonly rooms: Rooms;
  readonly directory: Directory;
  readonly publicRooms: PublicRooms;
  readonly serverName: string;
  readonly visibility: Visibility;
  /** The room directory of another server. @throws MatrixError @throws MatrixError */
  readonly remotePublicRooms: (server: string, query: PublicRoomsQuery) => Promise<JsonObject>;
  readonly requireSession: RequestHandler;
}

const aliasSchema = z.looseObject({ room_id: z.string().max(255) });
const visibilitySchema = z.looseObject({ visibility: z.enum(['public', 'private']).default('public') });

/** Mounted at `/_matrix/client/v3`. */
export function directoryRouter(options: DirectoryRouterOptions): Router {
  const { rooms, directory, publicRooms, serverName, visibility, requireSession } = options;
  const router = express.Router();

  methods(router, '/directory/room/:alias', {
    get: [
      (request, response, next) => {
        // Anybody may resolve a local alias; resolving one of another server needs a log-in, as does knowing whose it is.
        if (visibility.isOpen && parameter(request, 'alias').endsWith(`:${serverName}`)) next();
        else return requireSession(request, response, next);
      },
      async (request, response) => {
        const requester = requesterIn(response);
        const { roomId, servers } = await directory.resolve(parameter(request, 'alias'), requester?.userId);
        response.json({ room_id: roomId, servers: servers.slice(0, 50) });
      },
    ],
    put: [
      requireSession,
      async (request, response) => {
        const { userId, guest } = requesterOf(response);
        if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot create aliases.');
        const { room_id: roomId } = parseBody(aliasSchema, request.body);
        await directory.createBy(parameter(request, 'alias'), roomId, userId);
        response.json({});
      },
    ],
    delete: [
      requireSession,
      async (request, response) => {
        const { userId, admin } = requesterOf(response);
        await directory.remove(parameter(request, 'alias'), userId, admin);
        response.json({});
      },
    ],
  });

  // The longer path is the unstable one.
  for (const path of ['/rooms/:roomId/aliases', '/org.matrix.msc2432/rooms/:roomId/aliases']) {
    methods(router, path, {
      get: [
        requireSession,
        async (request, response) => {
          const roomId = parameter(request, 'roomId');
          const { userId } = requesterOf(response);
          if ((await rooms.membership(roomId, userId)) !== 'join' && !(await rooms.mayPeek(roomId, userId))) {
            throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
          }
          response.json({ aliases: await directory.aliases(roomId) });
        },
      ],
    });
  }

  methods(router, '/directory/list/room/:roomId', {
    get: async (request, response) => {
      const roomId = await known(parameter(request, 'roomId'));
      response.json({ visibility: (await publicRooms.listed(roomId)) ? 'public' : 'private' });
    },
    put: [
      requireSession,
      async (request, response) => {
        const { userId, admin } = requesterOf(response);
        const roomId = await known(parameter(request, 'roomId'));
        const { visibility: listed } = parseBody(visibilitySchema, request.body);
        if (!admin && !(await directory.mayList(roomId, userId))) {
          throw new MatrixError(403, 'M_FORBIDDEN', 'You may not change whether this room is in the directory.');
        }
        await publicRooms.set(roomId, listed === 'public', userId);
        response.json({});
      },
    ],
  });

  // The specification lets anybody read the directory; here, which rooms an organisation has is for its members only.
  const requireMember: RequestHandler = (_request, response, next) => {
    if (requesterOf(response).guest) {
      throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot see the room directory.');
    }
    next();
  };
  methods(router, '/publicRooms', {
    get: [
      requireSession,
      requireMember,
      async (request, response) => {
        const since = queryText(request, 'since');
        const query = { limit: queryNumber(request, 'limit', 0, 1000), ...(since === undefined ? {} : { since }) };
        response.json(await list(requesterOf(response).userId, queryText(request, 'server'), query));
      },
    ],
    post: [
      requireSession,
      requireMember,
      async (request, response) => {
        const query = parseBody(publicRoomsSchema, request.body);
        response.json(await list(requesterOf(response).userId, queryText(request, 'server'), query));
      },
    ],
  });

  async function known(roomId: string): Promise<string> {
    if (!(await rooms.version(roomId)))
      throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    return roomId;
  }

  async function list(userId: string, server: string | undefined, query: PublicRoomsQuery): Promise<object> {
    if (server === undefined || server === '' || server === serverName) return publicRooms.page(query, userId);
    if (!isServerName(server)) throw new MatrixError(400, 'M_INVALID_PARAM', 'server is malformed.');
    return options.remotePublicRooms(server, query);
  }

  return router;
}

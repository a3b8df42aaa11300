/** The user directory, and mutual rooms, in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { isUserId } from '../../../federation/identifiers.ts';
import type { UserDirectory } from './user-directory.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import { parseBody, queryText, requesterOf } from '../../base/parse.ts';

export interface UserDirectoryRouterOptions {
  readonly rooms: RoomReader;
  readonly userDirectory: UserDirectory;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 50;

const searchSchema = z.looseObject({
  search_term: z.string().max(500),
  limit: z.number().int().min(0).nullish(),
});

/** Mounted at `/_matrix/client/v3`. */
export function userDirectoryRouter({ userDirectory, requireSession }: UserDirectoryRouterOptions): Router {
  const router = express.Router();
  methods(router, '/user_directory/search', {
    post: [
      requireSession,
      async (request, response) => {
        const { userId, guest } = requesterOf(response);
        if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot search the user directory.');
        const { search_term: term, limit } = parseBody(searchSchema, request.body);
        response.json(await userDirectory.search(userId, term, Math.min(limit ?? DEFAULT_LIMIT, MAX_LIMIT)));
      },
    ],
  });
  return router;
}

/** Mounted at `/_matrix`. @see MSC2666 */
export function mutualRoomsRouter({ rooms, requireSession }: UserDirectoryRouterOptions): Router {
  const router = express.Router();
  for (const path of ['/client/v1/mutual_rooms', '/client/unstable/uk.half-shot.msc2666/user/mutual_rooms']) {
    methods(router, path, {
      get: [
        requireSession,
        async (request, response) => {
          const { userId } = requesterOf(response);
          const other = queryText(request, 'user_id') ?? '';
          if (!isUserId(other)) throw new MatrixError(400, 'M_INVALID_PARAM', 'user_id is missing or malformed.');
          if (other === userId) {
            throw new MatrixError(400, 'M_INVALID_PARAM', 'user_id must be another user.');
          }
          const own = await rooms.roomsOf(userId, ['join']);
          const theirs = new Set((await rooms.roomsOf(other, ['join'])).map((entry) => entry.roomId));
          const joined = own.map((entry) => entry.roomId).filter((roomId) => theirs.has(roomId));
          // All rooms are in one response, without a `next_batch`.
          response.json({ joined, count: joined.length });
        },
      ],
    });
  }
  return router;
}

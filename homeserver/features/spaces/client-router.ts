/** Space hierarchies and room summaries in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { isRoomId, isServerName } from '../../../federation/identifiers.ts';
import type { RoomAliases } from '../../engine/client/room-aliases.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Hierarchy } from './hierarchy.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface HierarchyRouterOptions {
  readonly hierarchy: Hierarchy;
  readonly directory: Pick<RoomAliases, 'resolve'>;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 50;
const MAX_DEPTH = 100;
const MAX_VIA = 5;

const SUMMARY_PATHS = [
  '/client/v1/room_summary/:room',
  '/client/unstable/im.nheko.summary/summary/:room',
  '/client/unstable/im.nheko.summary/rooms/:room/summary',
];

/** Mounted at `/_matrix`. */
export function hierarchyRouter({ hierarchy, directory, requireSession }: HierarchyRouterOptions): Router {
  const router = express.Router();

  methods(router, '/client/v1/rooms/:roomId/hierarchy', {
    get: [
      requireSession,
      async (request, response) => {
        const from = queryText(request, 'from');
        const depth = queryText(request, 'max_depth');
        const { rooms, nextBatch } = await hierarchy.forUser(
          parameter(request, 'roomId'),
          requesterOf(response).userId,
          {
            ...(from === undefined ? {} : { from }),
            limit: Math.max(1, queryNumber(request, 'limit', DEFAULT_LIMIT, MAX_LIMIT)),
            ...(depth === undefined ? {} : { maxDepth: queryNumber(request, 'max_depth', 0, MAX_DEPTH) }),
            suggestedOnly: queryText(request, 'suggested_only') === 'true',
          },
        );
        response.json({ rooms, ...(nextBatch === undefined ? {} : { next_batch: nextBatch }) });
      },
    ],
  });

  for (const path of SUMMARY_PATHS) {
    methods(router, path, {
      get: [
        requireSession,
        async (request, response) => {
          const { userId } = requesterOf(response);
          const room = parameter(request, 'room');
          const query = new URL(request.originalUrl, 'http://localhost').searchParams;
          const given = query.getAll('via').filter((name) => isServerName(name));
          const { roomId, servers } = room.startsWith('#')
            ? await directory.resolve(room, userId)
            : { roomId: room, servers: [] };
          if (!isRoomId(roomId)) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a room id.');
          const via = [...given, ...servers].slice(0, MAX_VIA);
          response.json(await hierarchy.summary(roomId, userId, via));
        },
      ],
    });
  }

  return router;
}

/** Space hierarchies for other servers. */
import type { RequestHandler, Router } from 'express';
import { methods } from '../../base/errors.ts';
import { signedRouter } from '../../engine/federation/authenticate.ts';
import { checkAccess, originOf, parameters } from '../../engine/federation/membership-router.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Hierarchy } from './hierarchy.ts';

export interface HierarchyRouterOptions {
  readonly rooms: Rooms;
  readonly hierarchy: Hierarchy;
  readonly signed: RequestHandler;
}

/** Mounted at `/_matrix/federation`. */
export function hierarchyRouter({ rooms, hierarchy, signed }: HierarchyRouterOptions): Router {
  const router = signedRouter(signed);
  methods(router, '/v1/hierarchy/:roomId', {
    get: async (request, response) => {
      const { roomId } = parameters(request, 'roomId');
      const origin = originOf(response);
      await checkAccess(rooms, roomId, origin);
      const suggestedOnly = request.query['suggested_only'] === 'true';
      const { room, children, inaccessible } = await hierarchy.forServer(roomId, origin, suggestedOnly);
      response.json({ room, children, inaccessible_children: inaccessible });
    },
  });
  return router;
}

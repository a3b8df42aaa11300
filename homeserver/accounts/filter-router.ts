/** Stored filters, which clients reference by id. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { isUserId } from '../../federation/identifiers.ts';
import { canonicalJson, isJsonObject, parseStrict } from '../../federation/json.ts';
import type { Filters } from './filters.ts';
import { methods, MatrixError } from '../base/errors.ts';
import { FILTER_CHARACTERS } from '../base/limits.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';
import { filterSchema } from '../engine/sync/filter.ts';
import type { Filter, SectionFilter } from '../engine/sync/filter.ts';

export interface FilterRouterOptions {
  readonly filters: Filters;
  readonly requireSession: RequestHandler;
}

/** Mounted at `/_matrix/client/v3`. */
export function filterRouter({ filters, requireSession }: FilterRouterOptions): Router {
  const router = express.Router();
  router.use('/user/:userId/filter', requireSession, (request, response, next) => {
    if (parameter(request, 'userId') !== requesterOf(response).userId) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'You can only access your own filters.');
    }
    next();
  });

  methods(router, '/user/:userId/filter', {
    post: async (request, response) => {
      const body: unknown = request.body;
      if (!isJsonObject(body)) throw new MatrixError(400, 'M_BAD_JSON', 'A filter must be an object.');
      requireIds(parseBody(filterSchema, body));
      const json = canonicalJson(body);
      if (json.length > FILTER_CHARACTERS) throw new MatrixError(413, 'M_TOO_LARGE', 'The filter is too long.');
      response.json({ filter_id: await filters.add(requesterOf(response).userId, json) });
    },
  });

  methods(router, '/user/:userId/filter/:filterId', {
    get: async (request, response) => {
      const json = await filters.get(requesterOf(response).userId, parameter(request, 'filterId'));
      if (json === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'No filter with this id exists.');
      response.json(parseStrict(json));
    },
  });

  return router;
}

/**
 * @throws MatrixError 400 for malformed room or user ids
 *
 * @throws MatrixError 400 for rooms and senders that no event can have
 */
function requireIds({ room, presence, account_data: accountData }: Filter): void {
  const sections: (SectionFilter | null | undefined)[] = [presence, accountData, room];
  if (room) sections.push(room.timeline, room.state, room.ephemeral, room.account_data);
  for (const section of sections) {
    const rooms = [...(section?.rooms ?? []), ...(section?.not_rooms ?? [])];
    const senders = [...(section?.senders ?? []), ...(section?.not_senders ?? [])];
    if (!rooms.every((id) => id.startsWith('!')) || !senders.every(isUserId)) {
      throw new MatrixError(400, 'M_BAD_JSON', 'The filter has a malformed room id or user id.');
    }
  }
}

/** Stored filters. `/sync` of this server answers all events, but clients store one before they start. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { canonicalJson, isJsonObject, parseStrict } from '../../federation/json.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { methods, MatrixError } from '../errors.ts';
import { parameter, requesterOf } from './parse.ts';

export interface FilterRouterOptions {
  readonly accounts: Accounts;
  readonly requireSession: RequestHandler;
}

const MAX_FILTER_CHARACTERS = 2000;

/** Mounted at `/_matrix/client/v3`. */
export function filterRouter({ accounts, requireSession }: FilterRouterOptions): Router {
  const router = express.Router();
  router.use('/user/:userId/filter', requireSession, (request, response, next) => {
    if (parameter(request, 'userId') !== requesterOf(response).userId) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'These are not your filters.');
    }
    next();
  });

  methods(router, '/user/:userId/filter', {
    post: async (request, response) => {
      const body: unknown = request.body;
      if (!isJsonObject(body)) throw new MatrixError(400, 'M_BAD_JSON', 'A filter must be an object.');
      const json = canonicalJson(body);
      if (json.length > MAX_FILTER_CHARACTERS) throw new MatrixError(413, 'M_TOO_LARGE', 'This filter is too long.');
      response.json({ filter_id: await accounts.addFilter(requesterOf(response).userId, json) });
    },
  });

  methods(router, '/user/:userId/filter/:filterId', {
    get: async (request, response) => {
      const json = await accounts.filter(requesterOf(response).userId, parameter(request, 'filterId'));
      if (json === undefined) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such filter.');
      response.json(parseStrict(json));
    },
  });

  return router;
}

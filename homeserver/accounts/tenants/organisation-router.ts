/** What somebody sees of their organisation: name, colour, pages that it has to show, and limits. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { OwnOrganisation } from '../../../protocol/client-api.ts';
import { methods } from '../../base/errors.ts';
import { requesterOf } from '../../base/parse.ts';
import type { Tenants } from './tenants.ts';

export interface OrganisationRouterOptions {
  readonly tenants: Tenants;
  readonly requireSession: RequestHandler;
}

/** Mounted at the root of the client server. */
export function organisationRouter({ tenants, requireSession }: OrganisationRouterOptions): Router {
  const router = express.Router();
  methods(router, '/_hansetag/client/v1/organisation', {
    get: [
      requireSession,
      async (_request, response) => {
        const { userId } = requesterOf(response);
        const answer: OwnOrganisation = {
          ...(await tenants.organisationOf(userId)),
          limits: await tenants.limitsOf(userId),
        };
        response.json(answer);
      },
    ],
  });
  return router;
}

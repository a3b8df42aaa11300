/** `PUT /_hansetag/client/v1/meetings/:roomId/roles/:userId`: gives a role outside of a conference. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import * as z from 'zod';
import { givenRoleSchema } from '../../protocol/modules/moderation.ts';
import { parameter, parseBody, requesterOf } from '../base/parse.ts';
import type { Roles } from './roles.ts';

const bodySchema = z.object({ role: givenRoleSchema });

export function rolesRouter({ roles, requireSession }: { roles: Roles; requireSession: RequestHandler }): Router {
  const router = express.Router();
  router.put('/meetings/:roomId/roles/:userId', requireSession, async (request, response) => {
    const { role } = parseBody(bodySchema, request.body);
    const { userId } = requesterOf(response);
    await roles.appoint(parameter(request, 'roomId'), userId, parameter(request, 'userId'), role);
    response.json({});
  });
  return router;
}

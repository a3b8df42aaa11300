/** `GET /_hansetag/client/v1/meetings/:roomId/log`: the log of a meeting, for those who may read it. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { MatrixError } from '../../base/errors.ts';
import { SETTING } from '../../base/names.ts';
import { parameter, requesterOf } from '../../base/parse.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import type { MeetingLog } from './meeting-log.ts';

/** Content of the rule of who may read the log. What is not readable opens nothing. */
const readersSchema = z.object({ for: z.enum(['moderators', 'everybody']) });

export interface LogRouterDeps {
  readonly log: Pick<MeetingLog, 'page'>;
  readonly rooms: Pick<Rooms, 'membership' | 'stateEvent'>;
  readonly rights: Pick<Rights, 'require'>;
  readonly requireSession: RequestHandler;
}

export function logRouter({ log, rooms, rights, requireSession }: LogRouterDeps): Router {
  const router = express.Router();

  router.get('/meetings/:roomId/log', requireSession, async (request, response) => {
    const { userId } = requesterOf(response);
    const roomId = parameter(request, 'roomId');
    await requireReader(roomId, userId);
    const { before } = request.query;
    response.json(await log.page(roomId, typeof before === 'string' ? before : undefined));
  });

  async function requireReader(roomId: string, userId: string): Promise<void> {
    if ((await rooms.membership(roomId, userId)) !== 'join') {
      throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such meeting, or you are not a member.');
    }
    const rule = await rooms.stateEvent(roomId, `${SETTING}log`, '');
    if (readersSchema.safeParse(rule?.pdu.content).data?.for === 'everybody') return;
    await rights.require(roomId, userId, 'read-log');
  }

  return router;
}

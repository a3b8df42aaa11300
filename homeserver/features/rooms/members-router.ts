/** The members of a room. */
import express from 'express';
import type { Router } from 'express';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, queryText, requesterOf } from '../../base/parse.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import { showTo } from './requests.ts';

export interface MembersRouterOptions {
  readonly rooms: RoomViews;
  readonly showFor: ShowFor;
}

export function membersRouter({ rooms, showFor }: MembersRouterOptions): Router {
  const router = express.Router();

  methods(router, '/rooms/:roomId/members', {
    get: async (request, response) => {
      const roomId = parameter(request, 'roomId');
      const state = await rooms.wholeStateFor(roomId, requesterOf(response).userId, queryText(request, 'at'));
      const [wanted, unwanted] = [queryText(request, 'membership'), queryText(request, 'not_membership')];
      const members = [...state.values()].filter(({ pdu: { type, content } }) => {
        if (type !== 'm.room.member') return false;
        const membership = member(content, 'membership');
        return (wanted === undefined || membership === wanted) && membership !== unwanted;
      });
      response.json({ chunk: await Promise.all(members.map(showTo(response, showFor, true))) });
    },
  });

  methods(router, '/rooms/:roomId/joined_members', {
    get: async (request, response) => {
      const roomId = parameter(request, 'roomId');
      if ((await rooms.membership(roomId, requesterOf(response).userId)) !== 'join') {
        throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
      }
      await rooms.whole(roomId);
      const joined: JsonObject = {};
      for (const event of (await rooms.state(roomId)).values()) {
        const { type, content, state_key: userId } = event.pdu;
        if (type !== 'm.room.member' || userId === undefined || content['membership'] !== 'join') continue;
        const [name, picture] = [member(content, 'displayname'), member(content, 'avatar_url')];
        joined[userId] = {
          display_name: typeof name === 'string' ? name : null,
          avatar_url: typeof picture === 'string' ? picture : null,
        };
      }
      response.json({ joined });
    },
  });

  return router;
}

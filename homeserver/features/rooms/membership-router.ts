/** Join, knock, invite, leave, kick and ban, and the rooms of a user. */
import express from 'express';
import type { Request, Response, Router } from 'express';
import { z } from 'zod';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';
import type { RoomAliases } from '../../engine/client/room-aliases.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { denyThirdParty, objectSchema, reasonSchema } from './requests.ts';

export interface MembershipRouterOptions {
  readonly rooms: Rooms;
  readonly directory: RoomAliases;
}

/** Most servers that a client may name for a join. */
const MAX_VIA = 20;

const memberSchema = z.looseObject({ user_id: z.string().max(255), reason: z.string().max(1000).optional() });

export function membershipRouter({ rooms, directory }: MembershipRouterOptions): Router {
  const router = express.Router();

  /** The room in the path, by id or alias, and servers that may be in it. */
  async function named(request: Request, userId: string): Promise<{ roomId: string; via: string[] }> {
    const name = parameter(request, 'roomId');
    const query = new URL(request.originalUrl, 'http://localhost').searchParams;
    const { roomId, servers } = name.startsWith('#')
      ? await directory.resolve(name, userId)
      : { roomId: name, servers: [] };
    if (!roomId.startsWith('!')) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not a room id.');
    return { roomId, via: [...query.getAll('via'), ...query.getAll('server_name'), ...servers].slice(0, MAX_VIA) };
  }
  const join = async (request: Request, response: Response): Promise<void> => {
    const { userId } = requesterOf(response);
    const { roomId, via } = await named(request, userId);
    // Other fields of the body become part of the membership content.
    const { third_party_signed: _signed, ...content } = parseBody(objectSchema.default({}), request.body);
    await rooms.join(userId, roomId, { via, content });
    response.json({ room_id: roomId });
  };
  methods(router, '/join/:roomId', { post: join });
  methods(router, '/rooms/:roomId/join', { post: join });
  methods(router, '/knock/:roomId', {
    post: async (request, response) => {
      const { userId } = requesterOf(response);
      const { roomId, via } = await named(request, userId);
      const { reason } = parseBody(reasonSchema, request.body);
      await rooms.memberships.knock(userId, roomId, { via, ...(reason === undefined ? {} : { reason }) });
      response.json({ room_id: roomId });
    },
  });
  methods(router, '/rooms/:roomId/invite', {
    post: async (request, response) => {
      if (isJsonObject(request.body) && member(request.body, 'medium') !== undefined) throw denyThirdParty();
      const { user_id: target, reason } = parseBody(memberSchema, request.body);
      const content: JsonObject = reason === undefined ? {} : { reason };
      await rooms.invite(parameter(request, 'roomId'), requesterOf(response).userId, target, content);
      response.json({});
    },
  });
  methods(router, '/rooms/:roomId/leave', {
    post: async (request, response) => {
      const { reason } = parseBody(reasonSchema, request.body);
      await rooms.leave(parameter(request, 'roomId'), requesterOf(response).userId, reason);
      response.json({});
    },
  });
  methods(router, '/rooms/:roomId/forget', {
    post: async (request, response) => {
      await rooms.memberships.forget(parameter(request, 'roomId'), requesterOf(response).userId);
      response.json({});
    },
  });
  for (const kind of ['kick', 'ban', 'unban'] as const) {
    methods(router, `/rooms/:roomId/${kind}`, {
      post: async (request, response) => {
        const { user_id: target, reason } = parseBody(memberSchema, request.body);
        const roomId = parameter(request, 'roomId');
        await rooms.memberships.change(kind, { roomId, sender: requesterOf(response).userId, target }, reason);
        response.json({});
      },
    });
  }

  methods(router, '/joined_rooms', {
    get: async (_request, response) => {
      const joined = await rooms.roomsOf(requesterOf(response).userId, ['join']);
      response.json({ joined_rooms: joined.map((entry) => entry.roomId) });
    },
  });

  return router;
}

/** Creating and upgrading rooms. */
import express from 'express';
import type { Router } from 'express';
import { z } from 'zod';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, parseBody, requesterOf } from '../../base/parse.ts';
import type { PublishedRooms, RoomAliases } from '../../engine/client/room-aliases.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { denyThirdParty, objectSchema } from './requests.ts';

export interface CreationRouterOptions {
  readonly rooms: Rooms;
  readonly directory: RoomAliases;
  readonly publicRooms: PublishedRooms;
}

const createSchema = z.looseObject({
  name: z.string().max(500).optional(),
  room_alias_name: z.string().max(255).optional(),
  topic: z.string().max(5000).optional(),
  preset: z.enum(['private_chat', 'trusted_private_chat', 'public_chat']).optional(),
  visibility: z.enum(['public', 'private']).optional(),
  invite: z.array(z.string().max(255)).max(100).optional(),
  invite_3pid: z.array(objectSchema).max(100).optional(),
  is_direct: z.boolean().optional(),
  initial_state: z
    .array(
      z.looseObject({ type: z.string().max(255), state_key: z.string().max(255).default(''), content: objectSchema }),
    )
    .max(100)
    .optional(),
  creation_content: objectSchema.optional(),
  power_level_content_override: objectSchema.optional(),
  room_version: z.string().max(32).optional(),
});
const upgradeSchema = z.looseObject({
  new_version: z.string().max(32),
  additional_creators: z.array(z.string().max(255)).max(100).optional(),
});

export function creationRouter({ rooms, directory, publicRooms }: CreationRouterOptions): Router {
  const router = express.Router();

  methods(router, '/createRoom', {
    post: async (request, response) => {
      const { userId, guest } = requesterOf(response);
      if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot create rooms.');
      const body = parseBody(createSchema, request.body);
      if ((body.invite_3pid ?? []).length > 0) throw denyThirdParty();
      const alias = body.room_alias_name === undefined ? undefined : directory.aliasOf(body.room_alias_name);
      if (alias !== undefined && (await directory.exists(alias))) {
        throw new MatrixError(400, 'M_ROOM_IN_USE', `The alias ${alias} is taken.`);
      }
      const roomId = await rooms.create(userId, {
        ...(body.name === undefined ? {} : { name: body.name }),
        ...(body.topic === undefined ? {} : { topic: body.topic }),
        ...(body.preset === undefined ? {} : { preset: body.preset }),
        ...(body.visibility === undefined ? {} : { visibility: body.visibility }),
        ...(body.invite === undefined ? {} : { invite: body.invite }),
        ...(body.is_direct === undefined ? {} : { isDirect: body.is_direct }),
        ...(body.initial_state === undefined
          ? {}
          : {
              initialState: body.initial_state.map((event) => ({
                type: event.type,
                stateKey: event.state_key,
                content: event.content,
              })),
            }),
        ...(body.creation_content === undefined ? {} : { creationContent: body.creation_content }),
        ...(body.power_level_content_override === undefined
          ? {}
          : { powerLevelContentOverride: body.power_level_content_override }),
        ...(body.room_version === undefined ? {} : { roomVersion: body.room_version }),
      });
      if (alias !== undefined) {
        await directory.create(alias, roomId, userId);
        await rooms.send(roomId, userId, { type: 'm.room.canonical_alias', stateKey: '', content: { alias } });
      }
      if (body.visibility === 'public') await publicRooms.set(roomId, true, userId);
      response.json({ room_id: roomId, ...(alias === undefined ? {} : { room_alias: alias }) });
    },
  });

  methods(router, '/rooms/:roomId/upgrade', {
    post: async (request, response) => {
      const body = parseBody(upgradeSchema, request.body);
      const replacement = await rooms.upgrade(requesterOf(response).userId, parameter(request, 'roomId'), {
        version: body.new_version,
        moveAliases: async (from, to) => {
          await directory.move(from, to);
          await publicRooms.move(from, to);
        },
        ...(body.additional_creators === undefined ? {} : { additionalCreators: body.additional_creators }),
      });
      response.json({ replacement_room: replacement });
    },
  });

  return router;
}

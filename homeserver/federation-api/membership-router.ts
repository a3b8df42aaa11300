/** Joining, leaving and inviting across servers: the resident's side. */
import express from 'express';
import type { Request, Response, Router } from 'express';
import { z } from 'zod';
import {
  BadEventError,
  BadSignatureError,
  checkEventSignaturesAndHash,
  eventId,
  isCreate,
  parsePdu,
  roomIdOf,
  serverOf,
} from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import { isJsonObject, member } from '../../federation/json.ts';
import type { JsonValue } from '../../federation/json.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import type { SigningKey } from '../../federation/signing.ts';
import type { Accounts } from '../accounts/accounts.ts';
import { methods, MatrixError } from '../errors.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { checkedEvents } from './checked-events.ts';
import { countersign } from './remote-rooms.ts';

/** Most events of the state that come with an invitation. */
const MAX_INVITE_STATE = 100;

export interface MembershipRouterOptions {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly keyring: KeyLookup;
  readonly rooms: Rooms;
  readonly accounts: Accounts;
}

const inviteSchema = z.looseObject({
  room_version: z.string().max(32),
  event: z.custom<JsonValue>(isJsonObject, 'must be an object'),
  invite_room_state: z
    .array(z.custom<JsonValue>(() => true))
    .max(MAX_INVITE_STATE)
    .default([]),
});

/** Mounted at `/_matrix/federation` behind `signedRequest`. */
export function membershipRouter(options: MembershipRouterOptions): Router {
  const { serverName, key, keyring, rooms, accounts } = options;
  const router = express.Router();

  async function template(request: Request, response: Response, membership: 'join' | 'leave'): Promise<void> {
    const { roomId, userId } = parameters(request, 'roomId', 'userId');
    const origin = originOf(response);
    await checkAccess(rooms, roomId, origin);
    if (domain(userId) !== origin) throw new MatrixError(403, 'M_FORBIDDEN', 'The user is not of your server.');
    const version = await rooms.version(roomId);
    const offered = new URL(request.originalUrl, 'http://localhost').searchParams.getAll('ver');
    if (membership === 'join' && version && !(offered.length > 0 ? offered : ['1']).includes(version.id)) {
      throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'Your server does not support the room version.', {
        room_version: version.id,
      });
    }
    const made = await rooms.template(roomId, userId, membership);
    response.json({ room_version: made.version.id, event: made.event });
  }

  async function membershipEvent(
    request: Request,
    response: Response,
    membership: 'join' | 'leave',
  ): Promise<{ pdu: Pdu; roomId: string; version: RoomVersion; origin: string }> {
    const { roomId, eventId: named } = parameters(request, 'roomId', 'eventId');
    const origin = originOf(response);
    await checkAccess(rooms, roomId, origin);
    const version = await rooms.version(roomId);
    if (!version) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    const pdu = await checked(request.body as JsonValue, version, keyring);
    if (
      pdu.type !== 'm.room.member' ||
      pdu.room_id !== roomId ||
      pdu.state_key !== pdu.sender ||
      domain(pdu.sender) !== origin ||
      member(pdu.content, 'membership') !== membership
    ) {
      throw new MatrixError(400, 'M_BAD_JSON', `This is not a ${membership} of a user of your server.`);
    }
    if (eventId(pdu, version) !== named) {
      throw new MatrixError(400, 'M_BAD_JSON', 'The event does not have the id in the path.');
    }
    return { pdu, roomId, version, origin };
  }

  methods(router, '/v1/make_join/:roomId/:userId', { get: (request, response) => template(request, response, 'join') });
  methods(router, '/v1/make_leave/:roomId/:userId', {
    get: (request, response) => template(request, response, 'leave'),
  });

  methods(router, '/v2/send_join/:roomId/:eventId', {
    put: async (request, response) => {
      const { pdu, roomId, origin } = await membershipEvent(request, response, 'join');
      const accepted = await rooms.acceptMembership(roomId, pdu, origin);
      response.json({
        origin: serverName,
        members_omitted: false,
        servers_in_room: accepted.servers,
        event: accepted.event.pdu,
        state: accepted.state.map((event) => event.pdu),
        auth_chain: accepted.authChain.map((event) => event.pdu),
      });
    },
  });

  methods(router, '/v2/send_leave/:roomId/:eventId', {
    put: async (request, response) => {
      const { pdu, roomId, origin } = await membershipEvent(request, response, 'leave');
      await rooms.acceptMembership(roomId, pdu, origin);
      response.json({});
    },
  });

  methods(router, '/v2/invite/:roomId/:eventId', {
    put: async (request, response) => {
      const { roomId, eventId: named } = parameters(request, 'roomId', 'eventId');
      const origin = originOf(response);
      const parsed = inviteSchema.safeParse(request.body);
      if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The invitation is malformed.');
      const version = roomVersion(parsed.data.room_version);
      if (!version) {
        throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'This server does not support the room version.', {
          room_version: parsed.data.room_version,
        });
      }
      const pdu = await checked(parsed.data.event, version, keyring);
      const target = pdu.state_key ?? '';
      if (
        pdu.type !== 'm.room.member' ||
        pdu.room_id !== roomId ||
        member(pdu.content, 'membership') !== 'invite' ||
        domain(pdu.sender) !== origin ||
        eventId(pdu, version) !== named
      ) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not an invitation by a user of your server.');
      }
      await checkAccess(rooms, roomId, origin);
      if (domain(target) !== serverName || !(await accounts.exists(target))) {
        throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such person here.', { organisation: serverName });
      }
      const signed = countersign(pdu, version, serverName, key);
      if (!(await rooms.joinedServers(roomId)).has(serverName)) {
        const state = await checkedEvents(parsed.data.invite_room_state, version, keyring);
        checkInviteState(state, roomId, version);
        await rooms.adoptInvite({
          roomId,
          userId: target,
          sender: pdu.sender,
          version: version.id,
          event: signed,
          state: state.filter((event) => roomIdOf(event, version) === roomId),
        });
      }
      response.json({ event: signed });
    },
  });

  return router;
}

/** From version 12 on the create event must come along: the room id is its hash, so nothing else proves what it is. */
function checkInviteState(state: readonly Pdu[], roomId: string, version: RoomVersion): void {
  if (!version.hashRoomIds) return;
  if (!state.some((event) => isCreate(event) && roomIdOf(event, version) === roomId)) {
    throw new MatrixError(400, 'M_MISSING_PARAM', 'The create event is not in invite_room_state.');
  }
}

async function checked(value: JsonValue, version: RoomVersion, keyring: KeyLookup): Promise<Pdu> {
  try {
    return await checkEventSignaturesAndHash(parsePdu(value, version), version, keyring);
  } catch (error) {
    if (error instanceof BadEventError) throw new MatrixError(400, error.code, error.message);
    if (error instanceof BadSignatureError) throw new MatrixError(403, error.code, error.message);
    throw error;
  }
}

/** @throws MatrixError 403 for a server that the room's access list keeps out */
export async function checkAccess(rooms: Rooms, roomId: string, origin: string): Promise<void> {
  if (!(await rooms.serverAllowed(roomId, origin))) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is banned from the room.');
  }
}

export function originOf(response: Response): string {
  return response.locals['origin'] as string;
}

/** Path parameters, bounded. */
export function parameters<N extends string>(request: Request, ...names: N[]): Record<N, string> {
  const found: Partial<Record<N, string>> = {};
  for (const name of names) {
    const value = request.params[name];
    if (typeof value !== 'string' || value.length > 255) {
      throw new MatrixError(400, 'M_INVALID_PARAM', `${name} is missing or too long.`);
    }
    found[name] = value;
  }
  return found as Record<N, string>;
}

function domain(userId: string): string | undefined {
  try {
    return serverOf(userId);
  } catch {
    return undefined;
  }
}

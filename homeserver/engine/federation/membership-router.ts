/** The resident server's side of joins, knocks, leaves and invites over federation. */
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import {
  addSignature,
  BadEventError,
  BadSignatureError,
  checkEventSignaturesAndHash,
  eventId,
  isCreate,
  parsePdu,
  roomIdOf,
  serverOf,
  wireForm,
} from '../../../federation/event.ts';
import type { ParsePduOptions, Pdu } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { AcceptedMembership } from '../rooms/handshakes.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { signedRouter } from './authenticate.ts';
import { checkedEvents } from './checked-events.ts';

/** Most events in `invite_room_state`. */
const MAX_INVITE_STATE = 100;

export interface MembershipRouterOptions {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly keyring: KeyLookup;
  readonly rooms: Rooms;
  /** Whether a user of this server exists. */
  readonly userExists: (userId: string) => Promise<boolean>;
  readonly signed: RequestHandler;
}

const inviteSchema = z.looseObject({
  room_version: z.string().max(32),
  event: z.custom<JsonValue>(isJsonObject, 'must be an object'),
  invite_room_state: z
    .array(z.custom<JsonValue>(() => true))
    .max(MAX_INVITE_STATE)
    .default([]),
});

const strippedSchema = z.looseObject({
  type: z.string().max(255),
  state_key: z.string().max(255),
  sender: z.string().max(255),
  content: z.custom<JsonObject>(isJsonObject),
});

/** Mounted at `/_matrix/federation`. */
export function membershipRouter(options: MembershipRouterOptions): Router {
  const { serverName, key, keyring, rooms, userExists, signed } = options;
  const { memberships, elsewhere, handshakes } = rooms;
  const router = signedRouter(signed);

  async function template(request: Request, response: Response, membership: Membership): Promise<void> {
    const { roomId, userId } = parameters(request, 'roomId', 'userId');
    const origin = originOf(response);
    const version = await roomOf(rooms, roomId, origin);
    if (domain(userId) !== origin)
      throw new MatrixError(403, 'M_FORBIDDEN', 'The user does not belong to your server.');
    const offered = new URL(request.originalUrl, 'http://localhost').searchParams.getAll('ver');
    if (membership !== 'leave' && !(offered.length > 0 ? offered : ['1']).includes(version.id)) {
      throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'Your server does not support the room version.', {
        room_version: version.id,
      });
    }
    const made = await handshakes.template(roomId, userId, membership);
    response.json({ room_version: made.version.id, event: wireForm(made.event, made.version) });
  }

  async function taken(request: Request, response: Response, membership: Membership): Promise<AcceptedMembership> {
    const { roomId, eventId: named } = parameters(request, 'roomId', 'eventId');
    const origin = originOf(response);
    const version = await roomOf(rooms, roomId, origin);
    const given = parsed(request.body as JsonValue, version);
    if (
      given.type !== 'm.room.member' ||
      given.room_id !== roomId ||
      given.state_key !== given.sender ||
      domain(given.sender) !== origin ||
      member(given.content, 'membership') !== membership
    ) {
      throw new MatrixError(400, 'M_BAD_JSON', `This is not a ${membership} event of a user of your server.`);
    }
    if (eventId(given, version) !== named) {
      throw new MatrixError(400, 'M_BAD_JSON', 'The id of the event does not match the path.');
    }
    const vouched = membership === 'join' ? await handshakes.authoriseJoin(roomId, given) : given;
    return handshakes.accept(roomId, await verified(vouched, version, keyring), origin, omitsMembers(request));
  }

  for (const membership of ['join', 'knock', 'leave'] as const) {
    methods(router, `/v1/make_${membership}/:roomId/:userId`, {
      get: (request, response) => template(request, response, membership),
    });
  }

  async function sendJoin(request: Request, response: Response): Promise<JsonObject> {
    const accepted = await taken(request, response, 'join');
    const version = await rooms.version(accepted.event.roomId);
    const wire = ({ pdu }: { readonly pdu: Pdu }): JsonObject => (version ? wireForm(pdu, version) : pdu);
    return {
      origin: serverName,
      members_omitted: omitsMembers(request),
      servers_in_room: accepted.servers,
      event: wire(accepted.event),
      state: accepted.state.map(wire),
      auth_chain: accepted.authChain.map(wire),
    };
  }
  methods(router, '/v2/send_join/:roomId/:eventId', {
    put: async (request, response) => response.json(await sendJoin(request, response)),
  });
  // The v1 forms were removed from the specification, but deployed servers still fall back to them.
  methods(router, '/v1/send_join/:roomId/:eventId', {
    put: async (request, response) => response.json([200, await sendJoin(request, response)]),
  });
  methods(router, '/v2/send_leave/:roomId/:eventId', {
    put: async (request, response) => {
      await taken(request, response, 'leave');
      response.json({});
    },
  });
  methods(router, '/v1/send_leave/:roomId/:eventId', {
    put: async (request, response) => {
      await taken(request, response, 'leave');
      response.json([200, {}]);
    },
  });
  methods(router, '/v1/send_knock/:roomId/:eventId', {
    put: async (request, response) => {
      const { event } = await taken(request, response, 'knock');
      response.json({ knock_room_state: await handshakes.strippedState(event.roomId) });
    },
  });

  async function invited(request: Request, response: Response, body: InviteBody): Promise<JsonObject> {
    const { roomId, eventId: named } = parameters(request, 'roomId', 'eventId');
    const origin = originOf(response);
    const version = roomVersion(body.room_version);
    if (!version) {
      throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', 'This server does not support the room version.', {
        room_version: body.room_version,
      });
    }
    const pdu = await verified(parsed(body.event, version, { outsideRoom: true }), version, keyring);
    const target = pdu.state_key ?? '';
    if (
      pdu.type !== 'm.room.member' ||
      pdu.room_id !== roomId ||
      member(pdu.content, 'membership') !== 'invite' ||
      domain(pdu.sender) !== origin ||
      eventId(pdu, version) !== named
    ) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This is not an invite sent by a user of your server.');
    }
    await checkAccess(rooms, roomId, origin);
    if (domain(target) !== serverName || !(await userExists(target))) {
      throw new MatrixError(404, 'M_NOT_FOUND', 'No such user on this server.', { organisation: serverName });
    }
    await memberships.checkWanted(target, pdu.sender);
    const countersigned = addSignature(pdu, version, serverName, key);
    // Nobody invites who is in the room: if by our state somebody is, what ends that is still on its way to us.
    // Only who is inside, too, can have invited somebody who was: others would put theirs in the place of such an invitation.
    const inside = await rooms.joinedServers(roomId);
    const isJoined = (): Promise<boolean> => rooms.membership(roomId, target).then((one) => one === 'join');
    if (!inside.has(serverName) || (inside.has(origin) && (await isJoined()))) {
      const given = await checkedEvents(body.invite_room_state, version, keyring, { outsideRoom: true });
      const state = given.filter((event) => roomIdOf(event, version) === roomId);
      // From version 12 on, the room id is the hash of the create event, which alone proves what the room is.
      if (version.hashRoomIds && !state.some(isCreate)) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'The create event is not in invite_room_state.');
      }
      await elsewhere.adoptInvite({
        roomId,
        userId: target,
        sender: pdu.sender,
        version: version.id,
        event: countersigned,
        state: state.length > 0 ? state : strippedEvents(body.invite_room_state),
      });
    }
    return wireForm(countersigned, version);
  }
  methods(router, '/v2/invite/:roomId/:eventId', {
    put: async (request, response) => {
      const body = inviteSchema.safeParse(request.body);
      if (!body.success) throw new MatrixError(400, 'M_BAD_JSON', 'The invite is malformed.');
      response.json({ event: await invited(request, response, body.data) });
    },
  });
  // The v1 form, for rooms of versions 1 and 2, whose events have the same format: which version it is comes with the
  // join.
  methods(router, '/v1/invite/:roomId/:eventId', {
    put: async (request, response) => {
      const event = request.body as JsonValue;
      const about = isJsonObject(event) ? member(event, 'unsigned') : undefined;
      const state = isJsonObject(about) ? member(about, 'invite_room_state') : undefined;
      const body = inviteSchema.safeParse({ room_version: '1', event, invite_room_state: state ?? [] });
      if (!body.success) throw new MatrixError(400, 'M_BAD_JSON', 'The invite is malformed.');
      response.json([200, { event: await invited(request, response, body.data) }]);
    },
  });

  return router;
}

/** Whether the joining server fetches the members later. @see Matrix specification, `PUT /send_join`, `omit_members` */
function omitsMembers(request: Request): boolean {
  return request.query['omit_members'] === 'true';
}

type Membership = 'join' | 'knock' | 'leave';
type InviteBody = z.output<typeof inviteSchema>;

/** Stripped state without signatures, as servers before v1.16 of the specification send it: for display only. */
function strippedEvents(values: readonly JsonValue[]): Pdu[] {
  return values.flatMap((value) => {
    const parsedEvent = strippedSchema.safeParse(value);
    return parsedEvent.success ? [parsedEvent.data as unknown as Pdu] : [];
  });
}

function parsed(value: JsonValue, version: RoomVersion, options?: ParsePduOptions): Pdu {
  try {
    return parsePdu(value, version, options);
  } catch (error) {
    if (error instanceof BadEventError) throw new MatrixError(400, error.code, error.message);
    throw error;
  }
}

async function verified(pdu: Pdu, version: RoomVersion, keyring: KeyLookup): Promise<Pdu> {
  try {
    return await checkEventSignaturesAndHash(pdu, version, keyring);
  } catch (error) {
    if (error instanceof BadSignatureError) throw new MatrixError(403, error.code, error.message);
    throw error;
  }
}

/**
 * The version of a room that this server is in and whose ACL allows the other server.
 *
 * @throws MatrixError 404 or 403
 */
async function roomOf(rooms: Rooms, roomId: string, origin: string): Promise<RoomVersion> {
  const version = await rooms.version(roomId);
  if (!version) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
  await checkAccess(rooms, roomId, origin);
  return version;
}

/**
 * @throws MatrixError 403 for a server that the room's ACL denies
 *
 * @throws MatrixError 403 for a server that the room's access list keeps out
 */
export async function checkAccess(rooms: Rooms, roomId: string, origin: string): Promise<void> {
  if (!(await rooms.serverAllowed(roomId, origin))) {
    throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is banned from the room.');
  }
}

export function originOf(response: Response): string {
  return response.locals['origin'] as string;
}

/** Path parameters, with bounded length. */
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

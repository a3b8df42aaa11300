/** Rooms in the Matrix client-server API: parse, call the room engine, answer. */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import { stateKey } from '../../../federation/auth-rules.ts';
import { canonicalJson, isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { withoutAuthoriser } from '../../engine/rooms/memberships.ts';
import type { NewEvent, Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { delayOf, stickyOf } from '../../engine/client/sending.ts';
import type { DelayedSending } from '../../engine/client/sending.ts';
import type { Bundles } from '../../engine/client/client-events.ts';
import { isEmpty, membersIn, parseEventFilter, passing, withoutIgnored } from '../../engine/client/event-filter.ts';
import type { Related } from '../../engine/client/event-filter.ts';
import type { PublishedRooms, RoomNames } from '../../engine/client/room-names.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import { parameter, parseBody, queryNumber, queryText, requesterOf } from '../../base/parse.ts';

export interface RoomsRouterOptions {
  /** Users of whom a user wants to hear nothing. */
  readonly ignored?: (userId: string) => Promise<ReadonlySet<string>>;
  readonly rooms: Rooms;
  readonly requireSession: RequestHandler;
  /** Rate limit for what a user sends. */
  readonly limitSending: RequestHandler;
  readonly directory: RoomNames;
  readonly publicRooms: PublishedRooms;
  /** What events say about others. */
  readonly relations: Bundles & Related;
  readonly showFor: ShowFor;
  readonly delayedEvents: DelayedSending;
}

const object = z.custom<JsonObject>(isJsonObject, 'must be an object');
const MAX_PAGE = 1000;
/** Most servers that a client may name for a join. */
const MAX_VIA = 20;

const createSchema = z.looseObject({
  name: z.string().max(500).optional(),
  room_alias_name: z.string().max(255).optional(),
  topic: z.string().max(5000).optional(),
  preset: z.enum(['private_chat', 'trusted_private_chat', 'public_chat']).optional(),
  visibility: z.enum(['public', 'private']).optional(),
  invite: z.array(z.string().max(255)).max(100).optional(),
  invite_3pid: z.array(object).max(100).optional(),
  is_direct: z.boolean().optional(),
  initial_state: z
    .array(z.looseObject({ type: z.string().max(255), state_key: z.string().max(255).default(''), content: object }))
    .max(100)
    .optional(),
  creation_content: object.optional(),
  power_level_content_override: object.optional(),
  room_version: z.string().max(32).optional(),
});
const memberSchema = z.looseObject({ user_id: z.string().max(255), reason: z.string().max(1000).optional() });
const upgradeSchema = z.looseObject({
  new_version: z.string().max(32),
  additional_creators: z.array(z.string().max(255)).max(100).optional(),
});
const reasonSchema = z.looseObject({ reason: z.string().max(1000).optional() });

/** Mounted at `/_matrix/client/v3`. */
export function roomsRouter(options: RoomsRouterOptions): Router {
  const { rooms, requireSession, limitSending } = options;
  const { directory, publicRooms, relations, showFor, delayedEvents } = options;
  const router = express.Router();
  router.use(['/createRoom', '/join', '/knock', '/joined_rooms', '/rooms'], requireSession);
  router.use(['/createRoom', '/join', '/knock', '/rooms'], (request, response, next) => {
    if (request.method === 'GET') next();
    else return limitSending(request, response, next);
  });

  /** The form of events that the device gets that asks. */
  function showTo(response: Response, ofState = false): (event: StoredEvent) => Promise<JsonObject> {
    const { userId, deviceId } = requesterOf(response);
    return showFor(userId, deviceId, ofState);
  }

  methods(router, '/createRoom', {
    post: async (request, response) => {
      const { userId, guest } = requesterOf(response);
      if (guest) throw new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests can not create rooms.');
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
      if (body.visibility === 'public') await publicRooms.set(roomId, true);
      response.json({ room_id: roomId, ...(alias === undefined ? {} : { room_alias: alias }) });
    },
  });

  /** The room that is named in the path, by id or alias, and the servers that may know it. */
  async function named(request: express.Request): Promise<{ roomId: string; via: string[] }> {
    const name = parameter(request, 'roomId');
    const query = new URL(request.originalUrl, 'http://localhost').searchParams;
    const { roomId, servers } = name.startsWith('#') ? await directory.resolve(name) : { roomId: name, servers: [] };
    if (!roomId.startsWith('!')) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is no room.');
    return { roomId, via: [...query.getAll('via'), ...query.getAll('server_name'), ...servers].slice(0, MAX_VIA) };
  }
  const join = async (request: express.Request, response: express.Response): Promise<void> => {
    const { roomId, via } = await named(request);
    // What else a client says of its join becomes part of the membership.
    const { third_party_signed: _signed, ...content } = parseBody(object.default({}), request.body);
    await rooms.join(requesterOf(response).userId, roomId, { via, content });
    response.json({ room_id: roomId });
  };
  methods(router, '/join/:roomId', { post: join });
  methods(router, '/rooms/:roomId/join', { post: join });
  methods(router, '/knock/:roomId', {
    post: async (request, response) => {
      const { roomId, via } = await named(request);
      const { reason } = parseBody(reasonSchema, request.body);
      const { userId } = requesterOf(response);
      await rooms.memberships.knock(userId, roomId, { via, ...(reason === undefined ? {} : { reason }) });
      response.json({ room_id: roomId });
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

  methods(router, '/rooms/:roomId/send/:eventType/:transactionId', {
    put: async (request, response) => {
      const { userId, deviceId } = requesterOf(response);
      const roomId = parameter(request, 'roomId');
      const draft = {
        type: parameter(request, 'eventType'),
        content: parseBody(object, request.body),
        transactionId: parameter(request, 'transactionId'),
        deviceId,
        ...stickyFor(request),
      };
      const delay = delayOf(request);
      if (delay !== undefined) {
        response.json({ delay_id: await delayedEvents.add(roomId, userId, draft, delay) });
        return;
      }
      const event = await rooms.send(roomId, userId, draft);
      response.json({ event_id: event.eventId });
    },
  });

  // Without a transaction id a repetition can not be told from a new message; clients of old use it all the same.
  methods(router, '/rooms/:roomId/send/:eventType', {
    post: async (request, response) => {
      const event = await rooms.send(parameter(request, 'roomId'), requesterOf(response).userId, {
        type: parameter(request, 'eventType'),
        content: parseBody(object, request.body),
      });
      response.json({ event_id: event.eventId });
    },
  });

  async function redact(
    request: Request,
    response: Response,
    once: Pick<NewEvent, 'transactionId' | 'deviceId'>,
  ): Promise<void> {
    const { userId } = requesterOf(response);
    const { reason } = parseBody(reasonSchema, request.body);
    const [roomId, redacts] = [parameter(request, 'roomId'), parameter(request, 'eventId')];
    if (!(await rooms.mayRedact(roomId, userId, redacts))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'You may not redact what others wrote.');
    }
    const event = await rooms.send(roomId, userId, {
      type: 'm.room.redaction',
      content: reason === undefined ? {} : { reason },
      redacts,
      ...once,
    });
    response.json({ event_id: event.eventId });
  }
  methods(router, '/rooms/:roomId/redact/:eventId/:transactionId', {
    put: (request, response) =>
      redact(request, response, {
        transactionId: parameter(request, 'transactionId'),
        deviceId: requesterOf(response).deviceId,
      }),
  });
  methods(router, '/rooms/:roomId/redact/:eventId', { post: (request, response) => redact(request, response, {}) });

  /** Sends state. Memberships go their own way: an invitation may need another server, a join somebody who vouches. */
  async function putState(
    roomId: string,
    sender: string,
    event: { type: string; stateKey: string; content: JsonObject; stickyMs?: number },
  ): Promise<string> {
    const { type, stateKey: key, content } = event;
    if (type === 'm.room.create') {
      throw new MatrixError(400, 'M_BAD_JSON', 'A room is created once and for all.');
    }
    if (type === 'm.room.member') {
      const own = withoutAuthoriser(content);
      const membership = member(content, 'membership');
      const present = await rooms.membership(roomId, key);
      if (membership === 'invite') await rooms.invite(roomId, sender, key, own);
      else if (membership === 'join' && key === sender && present !== 'join') {
        await rooms.join(sender, roomId, { content: own });
      } else return (await rooms.send(roomId, sender, { ...event, content: own })).eventId;
      return (await rooms.stateEvent(roomId, type, key))?.eventId ?? '';
    }
    if (type === 'm.room.canonical_alias') await directory.checkCanonical(roomId, content);
    if (type === 'm.room.server_acl' && !rooms.wouldAllowUs(content)) {
      throw new MatrixError(400, 'M_BAD_JSON', 'This list would shut out your own server.');
    }
    // What stands there already is not said again, as clients do that a lot.
    const before = await rooms.stateEvent(roomId, type, key);
    const same = before?.pdu.sender === sender && sameContent(before.pdu.content, content);
    if (same && event.stickyMs === undefined) return before.eventId;
    return (await rooms.send(roomId, sender, event)).eventId;
  }

  const stateHandlers = (keyOf: (request: express.Request) => string): Parameters<typeof methods>[2] => ({
    get: async (request, response) => {
      const roomId = parameter(request, 'roomId');
      const key = stateKey(parameter(request, 'eventType'), keyOf(request));
      const { userId } = requesterOf(response);
      const event =
        (await rooms.stateFor(roomId, userId)).get(key) ?? (await rooms.wholeStateFor(roomId, userId)).get(key);
      if (!event) throw new MatrixError(404, 'M_NOT_FOUND', 'The room has no such state.');
      response.json(queryText(request, 'format') === 'event' ? await showTo(response, true)(event) : event.pdu.content);
    },
    put: async (request, response) => {
      const { userId, deviceId } = requesterOf(response);
      const roomId = parameter(request, 'roomId');
      const draft = {
        type: parameter(request, 'eventType'),
        stateKey: keyOf(request),
        content: parseBody(object, request.body),
        ...stickyFor(request),
      };
      const delay = delayOf(request);
      if (delay !== undefined) {
        response.json({ delay_id: await delayedEvents.add(roomId, userId, { ...draft, deviceId }, delay) });
        return;
      }
      const id = await putState(roomId, userId, draft);
      response.json({ event_id: id });
    },
  });
  methods(
    router,
    '/rooms/:roomId/state/:eventType/:stateKey',
    stateHandlers((request) => parameter(request, 'stateKey')),
  );
  methods(
    router,
    '/rooms/:roomId/state/:eventType',
    stateHandlers(() => ''),
  );
  methods(router, '/rooms/:roomId/state', {
    get: async (request, response) => {
      const roomId = parameter(request, 'roomId');
      const state = await rooms.wholeStateFor(roomId, requesterOf(response).userId);
      response.json(await Promise.all([...state.values()].map(showTo(response, true))));
    },
  });

  methods(router, '/rooms/:roomId/messages', {
    get: async (request, response) => {
      const { userId } = requesterOf(response);
      const roomId = parameter(request, 'roomId');
      const [from, to] = [queryText(request, 'from'), queryText(request, 'to')];
      const filter = parseEventFilter(queryText(request, 'filter'));
      const hidden = (await options.ignored?.(userId)) ?? new Set<string>();
      const page = await rooms.messages(roomId, userId, {
        ...(from === undefined || from === '' ? {} : { from }),
        ...(to === undefined || to === '' ? {} : { to }),
        dir: queryText(request, 'dir') === 'f' ? 'f' : 'b',
        limit: Math.max(1, queryNumber(request, 'limit', Math.min(filter.limit ?? 10, MAX_PAGE), MAX_PAGE)),
        ...(isEmpty(filter) && hidden.size === 0
          ? {}
          : { wanted: (events) => passing(relations, filter, withoutIgnored(events, hidden)) }),
      });
      const members = filter.lazy_load_members === true ? await membersIn(rooms, page.events) : [];
      response.json({
        chunk: await relations.show(page.events, userId, showTo(response)),
        start: page.start,
        // A page with something in it always says where it ends, so that clients can turn around there.
        ...(page.end === undefined && page.events.length === 0 ? {} : { end: page.next }),
        ...(members.length === 0 ? {} : { state: await Promise.all(members.map(showTo(response, true))) }),
      });
    },
  });

  methods(router, '/rooms/:roomId/event/:eventId', {
    get: async (request, response) => {
      const { userId } = requesterOf(response);
      const event = await rooms.visibleEvent(parameter(request, 'roomId'), userId, parameter(request, 'eventId'));
      response.json((await relations.show([event], userId, showTo(response)))[0]);
    },
  });

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
      response.json({ chunk: await Promise.all(members.map(showTo(response, true))) });
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

  methods(router, '/joined_rooms', {
    get: async (_request, response) => {
      const joined = await rooms.roomsOf(requesterOf(response).userId, ['join']);
      response.json({ joined_rooms: joined.map((entry) => entry.roomId) });
    },
  });

  return router;
}

function sameContent(a: JsonObject, b: JsonObject): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

function stickyFor(request: express.Request): { stickyMs?: number } {
  const stickyMs = stickyOf(request);
  return stickyMs === undefined ? {} : { stickyMs };
}

/** Identity servers are not asked here: nobody can be invited by what they alone know. */
function denyThirdParty(): MatrixError {
  return new MatrixError(403, 'M_THREEPID_DENIED', 'Nobody can be invited by mail address or telephone number here.');
}

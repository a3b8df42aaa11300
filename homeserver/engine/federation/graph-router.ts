/** Events and state of rooms, for other servers in them. */
import type { Request, RequestHandler, Response, Router } from 'express';
import { z } from 'zod';
import { redact, wireForm } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { signedRouter } from './authenticate.ts';
import { checkAccess, originOf, parameters } from './membership-router.ts';

const MAX_MISSING = 20;
const MAX_BACKFILL = 100;

const ids = z.array(z.string().max(255)).max(50);
const missingSchema = z.looseObject({
  // Without `latest_events` there is nothing to walk back from; other homeservers return an empty list then.
  earliest_events: ids.default([]),
  latest_events: ids.default([]),
  limit: z.number().int().min(1).default(10),
  min_depth: z.number().int().default(0),
});

export interface GraphRouterOptions {
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly signed: RequestHandler;
}

/** Mounted at `/_matrix/federation`. */
export function graphRouter({ serverName, rooms, signed }: GraphRouterOptions): Router {
  const router = signedRouter(signed);

  /** The room in the path; the requesting server has to be in it. */
  async function room(request: Request, response: Response): Promise<{ roomId: string; origin: string }> {
    const { roomId } = parameters(request, 'roomId');
    const origin = originOf(response);
    if (!(await rooms.version(roomId)))
      throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    await checkAccess(rooms, roomId, origin);
    if (!(await rooms.joinedServers(roomId)).has(origin)) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is not in the room.');
    }
    return { roomId, origin };
  }

  /** For requests that need full state: a room with partial state gets an error. */
  async function wholeRoom(request: Request, response: Response): Promise<{ roomId: string; origin: string }> {
    const asked = await room(request, response);
    await rooms.whole(asked.roomId);
    return asked;
  }

  /** The event as the server may see it: in full, or redacted. */
  async function visible(event: StoredEvent, origin: string): Promise<JsonObject> {
    const version = await rooms.version(event.roomId);
    if (!version) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    const isWhole = await rooms.history.visibleToServer(event, origin);
    return wireForm(isWhole ? event.pdu : redact(event.pdu, version), version);
  }

  async function wireForms(roomId: string, events: Iterable<StoredEvent>): Promise<JsonObject[]> {
    const version = await rooms.version(roomId);
    if (!version) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    return Array.from(events, (event) => wireForm(event.pdu, version));
  }

  async function stateBefore(request: Request, roomId: string): Promise<{ state: string[]; chain: StoredEvent[] }> {
    const event = await rooms.event(eventIdOf(request));
    const map = event?.roomId === roomId ? await rooms.history.stateBefore(event) : undefined;
    if (!map) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not have the state at this event.');
    const chain = await rooms.history.authChain(map.values());
    return { state: [...map.values()], chain: [...chain.values()] };
  }

  methods(router, '/v1/event/:eventId', {
    get: async (request, response) => {
      const origin = originOf(response);
      const event = await rooms.event(parameters(request, 'eventId').eventId);
      if (!event || !(await rooms.joinedServers(event.roomId)).has(origin)) {
        throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such event, or your server may not see it.');
      }
      await checkAccess(rooms, event.roomId, origin);
      response.json({ origin: serverName, origin_server_ts: Date.now(), pdus: [await visible(event, origin)] });
    },
  });

  methods(router, '/v1/state_ids/:roomId', {
    get: async (request, response) => {
      eventIdOf(request);
      const { roomId } = await wholeRoom(request, response);
      const { state, chain } = await stateBefore(request, roomId);
      response.json({ pdu_ids: state, auth_chain_ids: chain.map((event) => event.eventId) });
    },
  });

  methods(router, '/v1/state/:roomId', {
    get: async (request, response) => {
      eventIdOf(request);
      const { roomId } = await wholeRoom(request, response);
      const { state, chain } = await stateBefore(request, roomId);
      const events = await rooms.events(state);
      response.json({
        pdus: await wireForms(roomId, events.values()),
        auth_chain: await wireForms(roomId, chain),
      });
    },
  });

  methods(router, '/v1/event_auth/:roomId/:eventId', {
    get: async (request, response) => {
      const { roomId } = await room(request, response);
      const { eventId } = parameters(request, 'eventId');
      const event = await rooms.event(eventId);
      if (event?.roomId !== roomId) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such event.');
      const chain = await rooms.history.authChain([eventId]);
      response.json({ auth_chain: await wireForms(roomId, chain.values()) });
    },
  });

  methods(router, '/v1/get_missing_events/:roomId', {
    post: async (request, response) => {
      const { roomId, origin } = await room(request, response);
      const parsed = missingSchema.safeParse(request.body);
      if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The request for missing events is malformed.');
      const { latest_events: latest, earliest_events: earliest, limit, min_depth: minDepth } = parsed.data;
      const events = await rooms.history.between(roomId, latest, earliest, {
        limit: Math.min(limit, MAX_MISSING),
        minDepth,
      });
      response.json({ events: await Promise.all(events.map((event) => visible(event, origin))) });
    },
  });

  methods(router, '/v1/backfill/:roomId', {
    get: async (request, response) => {
      const { roomId, origin } = await room(request, response);
      const query = new URL(request.originalUrl, 'http://localhost').searchParams;
      const from = ids.safeParse(query.getAll('v'));
      const limit = Number(query.get('limit') ?? '10');
      if (!from.success || !Number.isInteger(limit) || limit < 1) {
        throw new MatrixError(400, 'M_INVALID_PARAM', 'v or limit is malformed.');
      }
      const events = await rooms.history.before(roomId, from.data, Math.min(limit, MAX_BACKFILL));
      response.json({
        origin: serverName,
        origin_server_ts: Date.now(),
        pdus: await Promise.all(events.map((event) => visible(event, origin))),
      });
    },
  });

  return router;
}

/**
 * The `event_id` of the query, checked before the room. @throws MatrixError 400 when it is missing
 *
 * @throws MatrixError 400 when there is none, whatever the room
 */
function eventIdOf(request: Request): string {
  const id = z.string().max(255).safeParse(request.query['event_id']);
  if (!id.success) throw new MatrixError(400, 'M_MISSING_PARAM', 'event_id is missing.');
  return id.data;
}

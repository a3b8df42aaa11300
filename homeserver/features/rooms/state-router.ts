/** Reading and sending state events. */
import express from 'express';
import type { Request, Router } from 'express';
import { stateKey } from '../../../federation/auth-rules.ts';
import { canonicalJson, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { parameter, parseBody, queryText, requesterOf } from '../../base/parse.ts';
import type { RoomAliases } from '../../engine/client/room-aliases.ts';
import { delayOf } from '../../engine/client/sending.ts';
import type { DelayedSending } from '../../engine/client/sending.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import { withoutAuthoriser } from '../../engine/rooms/memberships.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { objectSchema, showTo, stickyFor } from './requests.ts';

export interface StateRouterOptions {
  readonly rooms: Rooms;
  readonly directory: RoomAliases;
  readonly showFor: ShowFor;
  readonly delayedEvents: DelayedSending;
}

export function stateRouter(options: StateRouterOptions): Router {
  const { rooms, showFor, delayedEvents } = options;
  const router = express.Router();

  const stateHandlers = (keyOf: (request: Request) => string): Parameters<typeof methods>[2] => ({
    get: async (request, response) => {
      const roomId = parameter(request, 'roomId');
      const key = stateKey(parameter(request, 'eventType'), keyOf(request));
      const { userId } = requesterOf(response);
      const event =
        (await rooms.stateFor(roomId, userId)).get(key) ?? (await rooms.wholeStateFor(roomId, userId)).get(key);
      if (!event) throw new MatrixError(404, 'M_NOT_FOUND', 'The room has no such state event.');
      response.json(
        queryText(request, 'format') === 'event' ? await showTo(response, showFor, true)(event) : event.pdu.content,
      );
    },
    put: async (request, response) => {
      const { userId, deviceId } = requesterOf(response);
      const roomId = parameter(request, 'roomId');
      const draft = {
        type: parameter(request, 'eventType'),
        stateKey: keyOf(request),
        content: parseBody(objectSchema, request.body),
        ...stickyFor(request),
      };
      const delay = delayOf(request);
      if (delay !== undefined) {
        response.json({ delay_id: await delayedEvents.add(roomId, userId, { ...draft, deviceId }, delay) });
        return;
      }
      const id = await putState(options, roomId, userId, draft);
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
      response.json(await Promise.all([...state.values()].map(showTo(response, showFor, true))));
    },
  });

  return router;
}

/**
 * Sends a state event. Membership events are handled separately: an invite may need another server, a restricted join
 * an authorising user.
 */
async function putState(
  { rooms, directory }: Pick<StateRouterOptions, 'rooms' | 'directory'>,
  roomId: string,
  sender: string,
  event: { type: string; stateKey: string; content: JsonObject; stickyMs?: number },
): Promise<string> {
  const { type, stateKey: key, content } = event;
  if (type === 'm.room.create') {
    throw new MatrixError(400, 'M_BAD_JSON', 'm.room.create can only be sent when a room is created.');
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
    throw new MatrixError(400, 'M_BAD_JSON', 'This server ACL would ban your own server.');
  }
  // An identical state event is not sent again, as clients often repeat them.
  const before = await rooms.stateEvent(roomId, type, key);
  const same = before?.pdu.sender === sender && sameContent(before.pdu.content, content);
  if (same && event.stickyMs === undefined) return before.eventId;
  return (await rooms.send(roomId, sender, event)).eventId;
}

function sameContent(a: JsonObject, b: JsonObject): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

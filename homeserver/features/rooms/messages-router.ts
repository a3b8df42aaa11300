/** Pages of the history of rooms, and single events. */
import express from 'express';
import type { Router } from 'express';
import { methods } from '../../base/errors.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';
import type { Bundles } from '../../engine/client/client-events.ts';
import { isEmpty, membersIn, parseEventFilter, passing, withoutIgnored } from '../../engine/client/event-filter.ts';
import type { Related } from '../../engine/client/event-filter.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { showTo } from './requests.ts';

export interface MessagesRouterOptions {
  /** The users that a user ignores. */
  readonly ignored?: (userId: string) => Promise<ReadonlySet<string>>;
  readonly rooms: Rooms;
  /** Aggregations of events. */
  readonly relations: Bundles & Related;
  readonly showFor: ShowFor;
}

const MAX_PAGE = 1000;

export function messagesRouter(options: MessagesRouterOptions): Router {
  const { rooms, relations, showFor } = options;
  const router = express.Router();

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
        chunk: await relations.show(page.events, userId, showTo(response, showFor)),
        start: page.start,
        // A non-empty page always has an end token, so that clients can reverse there.
        ...(page.end === undefined && page.events.length === 0 ? {} : { end: page.next }),
        ...(members.length === 0 ? {} : { state: await Promise.all(members.map(showTo(response, showFor, true))) }),
      });
    },
  });

  methods(router, '/rooms/:roomId/event/:eventId', {
    get: async (request, response) => {
      const { userId } = requesterOf(response);
      const event = await rooms.visibleEvent(parameter(request, 'roomId'), userId, parameter(request, 'eventId'));
      response.json((await relations.show([event], userId, showTo(response, showFor)))[0]);
    },
  });

  return router;
}

/** Search in the Matrix client-server API. */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { z } from 'zod';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, unlessInvisible } from '../../base/errors.ts';
import type { RoomViews } from '../../engine/rooms/room-views.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import { around } from './around.ts';
import { criteriaSchema } from './search.ts';
import type { Criteria, Found, Match, Search } from './search.ts';
import { parseBody, queryText, requesterOf } from '../../base/parse.ts';
import type { ShowFor } from '../../engine/client/show.ts';
import type { Bundles } from '../../engine/client/client-events.ts';

export interface SearchRouterOptions {
  readonly rooms: RoomViews;
  readonly relations: Bundles;
  readonly search: Search;
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
}

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 50;
const DEFAULT_CONTEXT = 5;
const MAX_CONTEXT = 20;

const bodySchema = z.looseObject({ search_categories: z.looseObject({ room_events: criteriaSchema.optional() }) });

/** Mounted at `/_matrix/client/v3`. */
export function searchRouter({ rooms, relations, search, showFor, requireSession }: SearchRouterOptions): Router {
  const router = express.Router();

  methods(router, '/search', {
    post: [
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        const criteria = parseBody(bodySchema, request.body).search_categories.room_events;
        if (!criteria) {
          response.json({ search_categories: {} });
          return;
        }
        const limit = Math.min(criteria.filter?.limit ?? DEFAULT_LIMIT, MAX_LIMIT);
        const all = await search.find(userId, criteria, limit, queryText(request, 'next_batch'));
        const show = showFor(userId, deviceId);
        const [matches, results]: [Match[], JsonObject[]] = [[], []];
        for (const match of all.matches) {
          const told = await unlessInvisible(result(match, criteria, userId, show));
          if (!told) continue;
          matches.push(match);
          results.push(told);
        }
        const found = { ...all, matches };
        const state =
          criteria.include_state === true ? await stateOf(found, userId, showFor(userId, deviceId, true)) : undefined;
        response.json({
          search_categories: {
            room_events: {
              count: found.count,
              results,
              highlights: found.highlights,
              ...(found.nextBatch === undefined ? {} : { next_batch: found.nextBatch }),
              ...(state === undefined ? {} : { state }),
              ...groupsOf(found, criteria),
            },
          },
        });
      },
    ],
  });

  async function result(
    { event, rank }: Match,
    criteria: Criteria,
    userId: string,
    show: (event: StoredEvent) => Promise<JsonObject>,
  ): Promise<JsonObject> {
    const [shown = {}] = await relations.show([event], userId, show);
    const asked = criteria.event_context;
    if (!asked) return { rank, result: shown };
    const { before, after, start, end } = await around(rooms, event, userId, {
      before: Math.min(asked.before_limit ?? DEFAULT_CONTEXT, MAX_CONTEXT),
      after: Math.min(asked.after_limit ?? DEFAULT_CONTEXT, MAX_CONTEXT),
    });
    return {
      rank,
      result: shown,
      context: {
        start,
        end,
        events_before: await relations.show(before, userId, show),
        events_after: await relations.show(after, userId, show),
        ...(asked.include_profile === true ? { profile_info: await profiles([...before, event, ...after]) } : {}),
      },
    };
  }

  /** Display names and avatars of the senders, as of the events. */
  async function profiles(events: readonly StoredEvent[]): Promise<JsonObject> {
    const [newest] = [...events].sort((a, b) => b.position - a.position);
    const state = newest && (await rooms.history.stateBefore(newest));
    const found: JsonObject = {};
    for (const sender of new Set(events.map((event) => event.pdu.sender))) {
      const id = state?.get(`m.room.member\0${sender}`);
      const content = id === undefined ? undefined : (await rooms.event(id))?.pdu.content;
      const [name, picture] = [member(content, 'displayname'), member(content, 'avatar_url')];
      found[sender] = {
        ...(typeof name === 'string' ? { displayname: name } : {}),
        ...(typeof picture === 'string' ? { avatar_url: picture } : {}),
      };
    }
    return found;
  }

  async function stateOf(
    found: Found,
    userId: string,
    show: (event: StoredEvent) => Promise<JsonObject>,
  ): Promise<JsonObject> {
    const state: JsonObject = {};
    for (const roomId of new Set(found.matches.map(({ event }) => event.roomId))) {
      const events = [...((await unlessInvisible(rooms.stateFor(roomId, userId)))?.values() ?? [])];
      state[roomId] = await Promise.all(events.map((event) => show(event)));
    }
    return state;
  }

  return router;
}

/** The results of the page by room or by sender. */
function groupsOf(found: Found, criteria: Criteria): JsonObject {
  const keys = (criteria.groupings?.group_by ?? []).map((entry) => entry.key);
  if (keys.length === 0) return {};
  const groups: JsonObject = {};
  for (const key of keys) {
    const members = new Map<string, Match[]>();
    for (const match of found.matches) {
      const name = key === 'room_id' ? match.event.roomId : match.event.pdu.sender;
      members.set(name, [...(members.get(name) ?? []), match]);
    }
    groups[key] = Object.fromEntries(
      [...members].map(([name, matches], order) => [
        name,
        {
          order,
          results: matches.map(({ event }) => event.eventId),
          ...(found.nextBatch === undefined ? {} : { next_batch: found.nextBatch }),
        },
      ]),
    );
  }
  return { groups };
}

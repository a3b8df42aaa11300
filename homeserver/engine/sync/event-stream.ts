/**
 * The event stream of the first clients: the changes of `/sync` as one list, and everything at the start.
 *
 * @see Matrix specification, client-server API, "GET /events" and "GET /initialSync", both deprecated
 */
import express from 'express';
import type { Request, RequestHandler, Response, Router } from 'express';
import { isJsonObject } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { parameter, queryNumber, queryText, requesterOf } from '../../base/parse.ts';
import { olderForm } from '../client/client-event.ts';
import type { ShowFor } from '../client/show.ts';
import type { Answers } from './answers.ts';
import type { SyncAnswer, SyncQuestion } from './part.ts';
import { sinceOf } from './since.ts';

export interface EventStreamOptions {
  readonly rooms: Rooms;
  readonly answers: Answers;
  /** The newest position there is. */
  readonly newest: () => number;
  /**
   * Marks a user as listening. @returns a function to call when the request has ended
   *
   * @returns to be called when they do no more
   */
  readonly present: (userId: string) => Promise<() => void>;
  /** Whether the room is in the public room directory. */
  readonly isListed: (roomId: string) => Promise<boolean>;
  readonly showFor: ShowFor;
  readonly requireSession: RequestHandler;
}

const MAX_WAIT_MS = 60_000;
/** The default time limit, as in Synapse. */
const DEFAULT_WAIT_MS = 30_000;
const MAX_MESSAGES = 100;
const DEFAULT_MESSAGES = 10;

/** Mounted at `/_matrix/client/v3`. */
export function eventStreamRouter(options: EventStreamOptions): Router {
  const { rooms, answers, newest, present, isListed, showFor, requireSession } = options;
  const router = express.Router();

  methods(router, '/events', {
    get: [
      requireSession,
      async (request, response) => {
        const since = sinceOf(queryText(request, 'from')) ?? newest();
        const deadline = Date.now() + queryNumber(request, 'timeout', DEFAULT_WAIT_MS, MAX_WAIT_MS);
        const { signal } = abortOnClose(response);
        const only = queryText(request, 'room_id');
        const { userId, guest } = requesterOf(response);
        if (only !== undefined) await requireSight(only, userId);
        else if (guest) throw new MatrixError(400, 'M_MISSING_PARAM', 'Guests must name a room_id.');
        const ended = await present(userId);
        const { question, answer } = await answers(
          asked(response, { since, ...(only === undefined ? {} : { only }) }),
          deadline,
          signal,
        ).finally(ended);
        if (signal.aborted) return;
        response.json({ start: `s${since}`, end: `s${question.upTo}`, chunk: streamOf(answer, question) });
      },
    ],
  });

  methods(router, '/events/:eventId', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        const eventId = parameter(request, 'eventId');
        const roomId = (await rooms.event(eventId))?.roomId ?? '';
        const event = await rooms.visibleEvent(roomId, userId, eventId);
        response.json(await showFor(userId, deviceId)(event));
      },
    ],
  });

  methods(router, '/initialSync', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const archived = queryText(request, 'archived') === 'true';
        const filter = { room: { timeline: { limit: messagesOf(request) }, include_leave: archived } };
        const { question, answer } = await answers(asked(response, { filter }), 0, abortOnClose(response).signal);
        const { join, leave, invite } = answer.rooms;
        const told: JsonObject[] = [];
        for (const [membership, section] of [
          ['join', join],
          ['leave', leave],
        ] as const) {
          for (const [roomId, entry] of Object.entries(section)) {
            told.push({ ...(await whole(roomId, entry, question)), membership });
          }
        }
        for (const [roomId, entry] of Object.entries(invite)) {
          const invitation = eventsIn(entry, 'invite_state').find((event) => event['state_key'] === userId) ?? {};
          told.push({
            room_id: roomId,
            membership: 'invite',
            inviter: invitation['sender'] ?? null,
            invite: { ...invitation, room_id: roomId },
          });
        }
        response.json({
          end: `s${question.upTo}`,
          rooms: told,
          presence: eventsIn(answer, 'presence').map(presenceForm),
          account_data: eventsIn(answer, 'account_data'),
          receipts: receiptsIn(answer),
        });
      },
    ],
  });

  methods(router, '/rooms/:roomId/initialSync', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        const roomId = parameter(request, 'roomId');
        const show = showFor(userId, deviceId);
        const state = await rooms.stateFor(roomId, userId);
        const page = await rooms.messages(roomId, userId, { dir: 'b', limit: messagesOf(request) });
        const membership = await rooms.membership(roomId, userId);
        const outside = membership !== 'join' && (await rooms.mayPeek(roomId, userId));
        const filter = { room: { rooms: [roomId], timeline: { limit: 1 } } };
        const { question, answer } = await answers(
          asked(response, { filter, ...(outside ? { only: roomId } : {}) }),
          0,
          abortOnClose(response).signal,
        );
        const inside = new Set(await rooms.joinedUsers(roomId));
        response.json({
          room_id: roomId,
          ...(membership === undefined ? {} : { membership }),
          messages: {
            chunk: await Promise.all(page.events.toReversed().map(show)),
            start: page.next,
            end: `s${question.upTo}`,
          },
          state: await Promise.all([...state.values()].map(showFor(userId, deviceId, true))),
          visibility: await visibilityOf(roomId),
          account_data: eventsIn(answer.rooms.join[roomId], 'account_data'),
          receipts: receiptsIn(answer),
          presence: eventsIn(answer, 'presence')
            .filter(({ sender }) => typeof sender === 'string' && inside.has(sender))
            .map(presenceForm),
        });
      },
    ],
  });

  /**
   * @throws MatrixError 403 for a room that is neither joined nor world-readable
   *
   * @throws MatrixError 403 for those who are not in a room into which not everybody may look
   */
  async function requireSight(roomId: string, userId: string): Promise<void> {
    if ((await rooms.membership(roomId, userId)) === 'join' || (await rooms.mayPeek(roomId, userId))) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
  }

  async function visibilityOf(roomId: string): Promise<string> {
    return (await isListed(roomId)) ? 'public' : 'private';
  }

  /** The initial state of a room, from its entry in an initial sync. */
  async function whole(roomId: string, entry: JsonValue | undefined, { upTo }: SyncQuestion): Promise<JsonObject> {
    const timeline = isJsonObject(entry) ? entry['timeline'] : undefined;
    return {
      room_id: roomId,
      messages: {
        chunk: eventsIn(entry, 'timeline').map((event) => olderForm({ ...event, room_id: roomId })),
        start: (isJsonObject(timeline) ? timeline['prev_batch'] : undefined) ?? `s${upTo}`,
        end: `s${upTo}`,
      },
      state: eventsIn(entry, 'state_after').map((event) => olderForm({ ...event, room_id: roomId })),
      visibility: await visibilityOf(roomId),
      account_data: eventsIn(entry, 'account_data'),
    };
  }

  return router;
}

function asked(
  response: Response,
  question: Partial<Pick<SyncQuestion, 'since' | 'filter' | 'only'>>,
): Omit<SyncQuestion, 'upTo' | 'rooms'> {
  const { userId, deviceId } = requesterOf(response);
  return { userId, deviceId, since: undefined, fullState: false, stateAfter: 'state_after', filter: {}, ...question };
}

/** The requested number of messages per room; may be 0. @throws MatrixError 400 @throws MatrixError 400 */
function messagesOf(request: Request): number {
  return queryNumber(request, 'limit', DEFAULT_MESSAGES, MAX_MESSAGES);
}

function abortOnClose(response: Response): AbortController {
  const abort = new AbortController();
  response.on('close', () => abort.abort());
  return abort;
}

/** All changes as one list; each event has its `room_id`. */
function streamOf(answer: SyncAnswer, { rooms, userId }: SyncQuestion): JsonObject[] {
  const chunk = eventsIn(answer, 'presence').map(presenceForm);
  chunk.push(...eventsIn(answer, 'account_data'));
  const { join, leave, invite, knock } = answer.rooms;
  for (const [roomId, entry] of [...Object.entries(join), ...Object.entries(leave)]) {
    const timeline = eventsIn(entry, 'timeline');
    // Of a newly joined room, earlier events are history and not new, except for its creator.
    const isNews = ({ type, state_key: key, sender }: JsonObject): boolean =>
      key === userId || (type === 'm.room.create' && sender === userId);
    const own = rooms.entered.has(roomId) ? timeline.findIndex(isNews) : 0;
    chunk.push(...timeline.slice(Math.max(0, own)).map((event) => olderForm({ ...event, room_id: roomId })));
    for (const section of ['ephemeral', 'account_data']) {
      chunk.push(...eventsIn(entry, section).map((event) => ({ ...event, room_id: roomId })));
    }
  }
  for (const [roomId, entry] of [...Object.entries(invite), ...Object.entries(knock)]) {
    const state = [...eventsIn(entry, 'invite_state'), ...eventsIn(entry, 'knock_state')];
    const own = state.find((event) => event['type'] === 'm.room.member' && event['state_key'] === userId);
    if (own) chunk.push({ ...own, room_id: roomId });
  }
  return chunk;
}

/** In this format the user id is in the content as well. */
function presenceForm(event: JsonObject): JsonObject {
  const { content, sender } = event;
  return { ...event, content: { ...(isJsonObject(content) ? content : {}), user_id: sender ?? null } };
}

function receiptsIn(answer: SyncAnswer): JsonObject[] {
  return Object.entries(answer.rooms.join).flatMap(([roomId, entry]) =>
    eventsIn(entry, 'ephemeral')
      .filter(({ type }) => type === 'm.receipt')
      .map((event) => ({ ...event, room_id: roomId })),
  );
}

function eventsIn(value: JsonValue | undefined, section: string): JsonObject[] {
  const inside = isJsonObject(value) ? value[section] : undefined;
  const events = isJsonObject(inside) ? inside['events'] : undefined;
  return Array.isArray(events) ? events.filter(isJsonObject) : [];
}

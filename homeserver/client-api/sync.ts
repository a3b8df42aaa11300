/**
 * `/sync`: what is new for a user, waiting for it when there is nothing. Positions are those of stored events.
 *
 * @see Matrix specification, client-server API, "Syncing"
 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import { member } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { methods, MatrixError } from '../errors.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { clientEvent, strippedEvent } from './client-event.ts';
import { queryNumber, queryText, requesterOf } from './parse.ts';

export interface SyncRouterOptions {
  readonly rooms: Rooms;
  readonly requireSession: RequestHandler;
}

const MAX_WAIT_MS = 60_000;
const TIMELINE_LIMIT = 20;
/** Events of one burst are given in one answer, in ms. */
const BURST_MS = 10;

interface Waiter {
  readonly userId: string;
  readonly rooms: ReadonlySet<string>;
  readonly wake: () => void;
}

/** Mounted at `/_matrix/client/v3`. */
export function syncRouter({ rooms, requireSession }: SyncRouterOptions): Router {
  const router = express.Router();
  const waiters = new Set<Waiter>();

  rooms.onEvent((event) => {
    const { pdu, roomId } = event;
    const about = pdu.type === 'm.room.member' ? pdu.state_key : undefined;
    for (const waiter of waiters) if (waiter.userId === about || waiter.rooms.has(roomId)) waiter.wake();
  });

  /** Waits for something of interest, at most so long. */
  async function news(userId: string, waitMs: number, since: number, aborted: AbortSignal): Promise<void> {
    const joined = await rooms.roomsOf(userId, ['join']);
    if (rooms.position > since && (await somethingNew(userId, since))) return;
    await new Promise<void>((resolve) => {
      const waiter: Waiter = {
        userId,
        rooms: new Set(joined.map((entry) => entry.roomId)),
        wake: () => done(BURST_MS),
      };
      const timer = setTimeout(() => done(0), waitMs);
      function done(afterMs: number): void {
        waiters.delete(waiter);
        clearTimeout(timer);
        aborted.removeEventListener('abort', abort);
        if (afterMs > 0) setTimeout(resolve, afterMs);
        else resolve();
      }
      const abort = (): void => done(0);
      aborted.addEventListener('abort', abort);
      waiters.add(waiter);
    });
  }

  async function somethingNew(userId: string, since: number): Promise<boolean> {
    const answer = await collect(userId, since);
    return Object.keys(answer).length > 0;
  }

  async function state(events: Iterable<StoredEvent>, version: string): Promise<JsonObject[]> {
    return [...events].map((event) => clientEvent(event, version));
  }

  async function joinedRoom(
    roomId: string,
    userId: string,
    since: number | undefined,
    upTo: number,
    joinedAt: number,
  ): Promise<JsonObject | undefined> {
    const version = (await rooms.version(roomId))?.id ?? '';
    const fresh = since === undefined || joinedAt > since;
    const page = await rooms.newest(roomId, userId, {
      ...(fresh ? {} : { after: since }),
      upTo,
      limit: TIMELINE_LIMIT,
    });
    if (!fresh && page.events.length === 0) return undefined;
    const inTimeline = new Set(page.events.map((event) => event.eventId));
    const changed: StoredEvent[] = [];
    if (fresh || page.limited) {
      // The state before the timeline: what the timeline itself brings is left out.
      for (const event of (await rooms.state(roomId)).values()) if (!inTimeline.has(event.eventId)) changed.push(event);
    }
    return {
      timeline: {
        events: page.events.map((event) => clientEvent(event, version)),
        limited: fresh ? page.limited : page.limited,
        prev_batch: page.before,
      },
      state: { events: await state(changed, version) },
      account_data: { events: [] },
      ephemeral: { events: [] },
      unread_notifications: { highlight_count: 0, notification_count: 0 },
      summary: {},
    };
  }

  async function invitedRoom(roomId: string, userId: string): Promise<JsonObject> {
    const invitation = await rooms.invitation(roomId, userId);
    const pdus = invitation
      ? [...invitation.state, invitation.event]
      : [...(await rooms.state(roomId)).values()]
          .map((event) => event.pdu)
          .filter(
            (pdu) =>
              ['m.room.create', 'm.room.name', 'm.room.topic', 'm.room.join_rules', 'm.room.avatar'].includes(
                pdu.type,
              ) ||
              (pdu.type === 'm.room.member' && pdu.state_key === userId),
          );
    return { invite_state: { events: pdus.map((pdu) => strippedEvent(pdu)) } };
  }

  /** The rooms part of the answer; empty when nothing happened since. */
  async function collect(userId: string, since: number | undefined, upTo = rooms.position): Promise<JsonObject> {
    const [join, invite, leave]: JsonObject[] = [{}, {}, {}];
    for (const entry of await rooms.roomsOf(userId, ['join', 'invite', 'leave', 'ban'])) {
      const { roomId, membership, position } = entry;
      if (membership === 'join') {
        const room = await joinedRoom(roomId, userId, since, upTo, await joinedSince(roomId, userId, position));
        if (room && join) join[roomId] = room;
      } else if (membership === 'invite') {
        if (invite && (since === undefined || position > since)) invite[roomId] = await invitedRoom(roomId, userId);
      } else if (leave && since !== undefined && position > since) {
        const page = await rooms.newest(roomId, userId, { after: since, upTo: position, limit: TIMELINE_LIMIT });
        const version = (await rooms.version(roomId))?.id ?? '';
        leave[roomId] = {
          timeline: {
            events: page.events.map((event) => clientEvent(event, version)),
            limited: page.limited,
            prev_batch: page.before,
          },
          state: { events: [] },
        };
      }
    }
    const parts: JsonObject = {};
    for (const [name, part] of Object.entries({ join, invite, leave })) {
      if (part && Object.keys(part).length > 0) parts[name] = part;
    }
    return parts;
  }

  /** A changed name is a new membership event too; only the step into the room makes the room new to the client. */
  async function joinedSince(roomId: string, userId: string, position: number): Promise<number> {
    const event = await rooms.stateEvent(roomId, 'm.room.member', userId);
    if (!event) return position;
    const before = await rooms.history.stateBefore(event);
    const previousId = before?.get(`m.room.member\0${userId}`);
    const previous = previousId === undefined ? undefined : await rooms.event(previousId);
    return member(previous?.pdu.content, 'membership') === 'join' ? 0 : position;
  }

  methods(router, '/sync', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId } = requesterOf(response);
        const since = sinceOf(queryText(request, 'since'));
        const waitMs = queryNumber(request, 'timeout', 0, MAX_WAIT_MS);
        const abort = new AbortController();
        response.on('close', () => abort.abort());
        if (since !== undefined && waitMs > 0 && queryText(request, 'full_state') !== 'true') {
          await news(userId, waitMs, since, abort.signal);
        }
        if (abort.signal.aborted) return;
        const upTo = rooms.position;
        response.json({
          next_batch: `s${upTo}`,
          rooms: { join: {}, invite: {}, leave: {}, ...(await collect(userId, since, upTo)) },
          presence: { events: [] },
          account_data: { events: [] },
          to_device: { events: [] },
          device_lists: { changed: [], left: [] },
          device_one_time_keys_count: {},
        });
      },
    ],
  });

  return router;
}

function sinceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^s([0-9]{1,15})$/.exec(text);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'since is malformed.');
  return Number(match[1]);
}

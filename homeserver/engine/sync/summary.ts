/** Counts and heroes of rooms. @see Matrix specification, client-server API, "Syncing", RoomSummary */
import type { JsonObject } from '../../../federation/json.ts';
import { splitStateKey } from '../../../federation/auth-rules.ts';
import type { Database } from '../../database/database.ts';
import type { StateChange } from '../rooms/state-changes.ts';

/** A client names a room after so many people when it has no name. */
const HEROES = 5;

export interface Summary {
  /** Users after whom the room can be named; for every room, although only those without a name are told. */
  readonly heroes: string[];
  readonly joined: number;
  readonly invited: number;
}

/** State that a summary is about. */
const MATTERS = ['m.room.member', 'm.room.name', 'm.room.canonical_alias'];

/** Whether the summary of a room may be another one after these changes. */
export function changesSummary(changes: readonly StateChange[]): boolean {
  return changes.some((change) => MATTERS.includes(splitStateKey(change.key)[0]));
}

/** Reads the summaries of rooms for one of their users. */
export async function summaries(
  db: Database,
  roomIds: readonly string[],
  userId: string,
): Promise<Map<string, Summary>> {
  if (roomIds.length === 0) return new Map();
  const counts = await db.query<{ room_id: string; joined: number; invited: number }>(
    `SELECT room_id, count(*) FILTER (WHERE membership = 'join') AS joined,
       count(*) FILTER (WHERE membership = 'invite') AS invited
     FROM room_members WHERE room_id = ANY($1) GROUP BY room_id`,
    [roomIds],
  );
  // Those who are or will be inside first; only when there are none, those who were.
  const heroes = await db.query<{ room_id: string; user_id: string; inside: boolean }>(
    `SELECT r.room_id, m.user_id, m.inside FROM unnest($1::text[]) AS r (room_id), LATERAL (
       SELECT user_id, position, membership IN ('join', 'invite') AS inside FROM room_members
       WHERE room_id = r.room_id AND user_id <> $2 ORDER BY 3 DESC, position, user_id LIMIT ${HEROES}
     ) m ORDER BY r.room_id, m.inside DESC, m.position, m.user_id`,
    [roomIds, userId],
  );
  const found = new Map<string, Summary>();
  for (const { room_id: roomId, joined, invited } of counts) {
    const of = heroes.filter((hero) => hero.room_id === roomId);
    const inside = of.some((hero) => hero.inside);
    found.set(roomId, {
      heroes: of.filter((hero) => hero.inside === inside).map((hero) => hero.user_id),
      joined,
      invited,
    });
  }
  return found;
}

/** @param named whether the room has a name or an alias of its own */
export function summaryJson(summary: Summary, named: boolean): JsonObject {
  return {
    ...(named ? {} : { 'm.heroes': summary.heroes }),
    'm.joined_member_count': summary.joined,
    'm.invited_member_count': summary.invited,
  };
}

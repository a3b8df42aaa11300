/** Counts and heroes of rooms. @see Matrix specification, client-server API, "Syncing", RoomSummary */
import type { JsonObject } from '../../../federation/json.ts';
import { splitStateKey } from '../../../federation/auth-rules.ts';
import type { Database } from '../../database/database.ts';
import type { StateChange } from '../rooms/state-changes.ts';

/** So many people are named in a room without a name. */
const HEROES = 5;

export interface Summary {
  /** The heroes; for every room, although only rooms without a name send them. */
  readonly heroes: string[];
  readonly joined: number;
  readonly invited: number;
}

/** The state that a summary depends on. */
const SUMMARY_TYPES = ['m.room.member', 'm.room.name', 'm.room.canonical_alias'];

/** Whether these changes may affect the summary of the room. */
export function changesSummary(changes: readonly StateChange[]): boolean {
  return changes.some((change) => SUMMARY_TYPES.includes(splitStateKey(change.key)[0]));
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
  // Joined and invited users first; only if there are none, those who left.
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

/** @param named whether the room has a name or canonical alias */
export function summaryJson(summary: Summary, named: boolean): JsonObject {
  return {
    ...(named ? {} : { 'm.heroes': summary.heroes }),
    'm.joined_member_count': summary.joined,
    'm.invited_member_count': summary.invited,
  };
}

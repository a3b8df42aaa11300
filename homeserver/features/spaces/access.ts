/** Who may see the summary of a room: those who could join or read it. */
import type { Database } from '../../database/database.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { Visibility } from '../../engine/visibility.ts';
import type { RoomSummary } from '../../engine/rooms/summary.ts';

type Openness = Pick<RoomSummary, 'join_rule' | 'world_readable' | 'allowed_room_ids'>;

/** Whether anybody may see a room's summary. */
function isOpen({ join_rule: rule, world_readable: readable }: Openness): boolean {
  return readable || rule === 'public' || rule === 'knock' || rule === 'knock_restricted';
}

/** Whether a local user may see the summary of a room, local or remote. */
export async function openToUser(
  { rooms, visibility }: { readonly rooms: RoomReader; readonly visibility: Visibility },
  userId: string,
  roomId: string,
  room: Openness,
): Promise<boolean> {
  if (isOpen(room) && (await visibility.mayPeek(userId, roomId))) return true;
  const membership = await rooms.membership(roomId, userId);
  if (membership === 'join' || membership === 'invite') return true;
  for (const allowed of room.allowed_room_ids ?? []) {
    if ((await rooms.membership(allowed, userId)) === 'join') return true;
  }
  return false;
}

/** Whether another server may see the summary of a local room: one of its users is joined, invited, or could join. */
export async function openToServer(db: Database, server: string, roomId: string, room: Openness): Promise<boolean> {
  if (isOpen(room)) return true;
  const rows = await db.query(
    `SELECT 1 FROM room_members WHERE server = $1
       AND ((room_id = $2 AND membership IN ('join', 'invite')) OR (room_id = ANY($3) AND membership = 'join'))
     LIMIT 1`,
    [server, roomId, room.allowed_room_ids ?? []],
  );
  return rows.length > 0;
}

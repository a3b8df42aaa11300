/** Runs tasks in the turn of a room, with the room as it is then. */
import type { ExtremityMerger } from './extremity-merger.ts';
import type { Room, RoomTable } from './room.ts';
import type { RoomTurns, Whose } from './room-turns.ts';

/**
 * Runs a task in the turn of a room, as `own` by default. @throws MatrixError 404 for an unknown room
 *
 * @throws MatrixError 404 for an unknown room
 */
export type InTurn = <T>(roomId: string, task: (room: Room) => Promise<T>, whose?: Whose) => Promise<T>;

/** Runs tasks in the turns of rooms, and merges forward extremities afterwards when there are too many. */
export function inTurnOf(deps: { turns: RoomTurns; rooms: RoomTable; ends: ExtremityMerger }): InTurn {
  const { turns, rooms, ends } = deps;
  return async (roomId, task, whose = 'own') =>
    turns.run(roomId, whose, async () => {
      const room = await rooms.require(roomId);
      try {
        return await task(room);
      } finally {
        await ends.merge(room);
      }
    });
}

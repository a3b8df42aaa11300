/** The turn of a room that this server has, with the room as it is then. */
import type { MergedEnds } from './merged-ends.ts';
import type { Room, RoomTable } from './room.ts';
import type { RoomTurns, Whose } from './room-turns.ts';

/** Runs a task in the turn of a room; `own` if nothing else is said. @throws MatrixError 404 for an unknown room */
export type InTurn = <T>(roomId: string, task: (room: Room) => Promise<T>, whose?: Whose) => Promise<T>;

/** What runs tasks in the turns of rooms, and leaves each room with no more ends than one event can cite. */
export function inTurnOf(deps: { turns: RoomTurns; rooms: RoomTable; ends: MergedEnds }): InTurn {
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

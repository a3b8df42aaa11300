/** Joins rooms through another server, whether new to us or already joined by one of our users. */
import type { Pdu } from '../../../federation/event.ts';
import { MatrixError } from '../../base/errors.ts';
import { adoptJoin } from './adopt.ts';
import type { AdoptDeps, AdoptedJoin } from './adopt.ts';
import type { Completion } from './completion.ts';
import type { Receiver } from './receive.ts';
import type { Room } from './room.ts';
import type { RoomTurns } from './room-turns.ts';
import { UnknownPlaceError } from './dependency-fetcher.ts';

export interface EnteringDeps extends AdoptDeps {
  readonly serverName: string;
  readonly turns: RoomTurns;
  readonly receiver: Receiver;
  readonly completion: Completion;
}

export class Entering {
  readonly #deps: EnteringDeps;

  constructor(deps: EnteringDeps) {
    this.#deps = deps;
  }

  /** Stores a room that we joined through another server. @throws MatrixError 403 or 502 */
  async adopt(join: AdoptedJoin): Promise<void> {
    const { turns, rooms, receiver, completion } = this.#deps;
    const { roomId } = join;
    const followed = await turns.run(roomId, 'own', async () => {
      const room = await rooms.find(roomId);
      if (room && (await this.#isFollowed(room, join.join))) return room;
      await adoptJoin(this.#deps, join);
      return undefined;
    });
    if (followed) {
      // Another server authorised the join because none of our users could: it is an event like any other.
      const stored = await receiver.receive(followed, join.join, join.resident, 'again').catch(asUnreachable);
      if (stored.rejected || stored.softFailed)
        throw new MatrixError(403, 'M_FORBIDDEN', 'The auth rules of the room forbid it.');
    }
    completion.begin(roomId);
  }

  /** Whether we can place an event in a room, because we are in it or its state is being given to us. */
  async #isFollowed(room: Room, pdu: Pdu): Promise<boolean> {
    const { serverName, members, incomplete, events } = this.#deps;
    if ((await members.servers(room.roomId)).has(serverName)) return true;
    if (!incomplete.lacksMembers(room.roomId)) return false;
    const known = await events.getMany(pdu.prev_events);
    return pdu.prev_events.every((id) => known.get(id)?.stateAfter !== undefined);
  }
}

/**
 * @throws MatrixError 502 when an event cannot be placed now
 *
 * @throws MatrixError 502 where an event can not be put in its place now
 */
function asUnreachable(error: unknown): never {
  if (!(error instanceof UnknownPlaceError)) throw error;
  throw new MatrixError(502, 'M_UNKNOWN', 'The events before the join could not be fetched from other servers.');
}

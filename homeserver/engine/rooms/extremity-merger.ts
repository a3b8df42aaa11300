/**
 * Limits the forward extremities of rooms: the state has to be resolved over all of them for every later event, and a
 * server can add any number with events that fork off old ones. An event of our own that references several of them
 * merges these into one. It has no content, and other servers only get it when a later event follows it: if all were
 * sent it, each of many servers in a room with many extremities would answer the others' with its own.
 *
 * @see Synapse's documentation of `org.matrix.dummy_event`
 */
import type { Logger } from 'pino';
import { powerLevelOf, stateKey, stateViewOf } from '../../../federation/auth-rules.ts';
import { MatrixError } from '../../base/errors.ts';
import { DUMMY_EVENT } from '../../base/names.ts';
import type { EventStore } from './event-store.ts';
import { MAX_EXTREMITIES } from './extremities.ts';
import type { PartialStateRooms } from './partial-state-rooms.ts';
import type { LocalEvents } from './local-events.ts';
import type { Members } from './members.ts';
import type { Room } from './room.ts';
import { signedForm } from './stored-event.ts';

/** Rooms may already have many extremities: they are merged step by step. */
const MERGES_AT_ONCE = 5;
/** How many local users are tried as senders. */
const SENDERS_TRIED = 5;

export interface ExtremityMergerDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly members: Members;
  readonly incomplete: PartialStateRooms;
  readonly local: LocalEvents;
  readonly log: Logger;
}

export class ExtremityMerger {
  readonly #deps: ExtremityMergerDeps;

  constructor(deps: ExtremityMergerDeps) {
    this.#deps = deps;
  }

  /**
   * Merges the forward extremities of a room if there are too many. To be called in the room's turn. Does not throw.
   */
  async merge(room: Room): Promise<void> {
    const { incomplete, log } = this.#deps;
    const { roomId } = room;
    try {
      for (let count = 0; count < MERGES_AT_ONCE && room.extremities.length >= MAX_EXTREMITIES; count += 1) {
        // With partial state, we do not know who may send.
        if (incomplete.lacksMembers(roomId) || !(await this.#mergeSome(room))) return;
      }
    } catch (error) {
      log.error({ err: error, roomId }, 'the forward extremities of a room could not be merged');
    }
  }

  /** @returns whether a local user could send the event @returns whether one of our people may */
  async #mergeSome(room: Room): Promise<boolean> {
    for (const sender of await this.#senders(room)) {
      try {
        await this.#deps.local.sendWithoutFanOut(room, sender, { type: DUMMY_EVENT, content: {} });
        return true;
      } catch (error) {
        // The auth rules forbid it, or the account is suspended.
        if (!(error instanceof MatrixError)) throw error;
      }
    }
    return false;
  }

  /** The local users in the room with the highest power levels. */
  async #senders(room: Room): Promise<string[]> {
    const { events, members, serverName } = this.#deps;
    const levelsId = room.state.map.get(stateKey('m.room.power_levels', ''));
    const levels = levelsId === undefined ? undefined : await events.get(levelsId);
    const view = stateViewOf(levels ? [signedForm(levels)] : [], room.create);
    const users = (await members.joinedOf(room.roomId, serverName)).map((userId) => ({
      userId,
      level: powerLevelOf(userId, room.version, view),
    }));
    users.sort((a, b) => (a.level === b.level ? 0 : b.level - a.level));
    return users.slice(0, SENDERS_TRIED).map(({ userId }) => userId);
  }
}

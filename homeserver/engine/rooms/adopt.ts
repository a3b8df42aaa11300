/** Joining a room through another server: its state is checked event by event before any of it is used. */
import { AuthError, checkAuth, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { eventId, isCreate, roomIdOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { writeTogether } from '../../database/writes.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import type { Extremities } from './extremities.ts';
import type { PartialStateRoom, PartialStateRooms } from './partial-state-rooms.ts';
import type { Invitations } from './invitations.ts';
import type { Members } from './members.ts';
import type { Positions } from '../stream/positions.ts';
import type { Judge } from './judge.ts';
import type { Outliers } from './outliers.ts';
import type { Room, RoomTable } from './room.ts';
import { differences } from './state-changes.ts';
import type { StateChanges } from './state-changes.ts';
import type { StateIndex } from './state-index.ts';
import type { StateStore } from './state-store.ts';

export interface AdoptedJoin {
  readonly roomId: string;
  readonly version: RoomVersion;
  readonly join: Pdu;
  readonly state: readonly Pdu[];
  readonly authChain: readonly Pdu[];
  /** The resident server through which we joined. */
  readonly resident: string;
  /** Servers in the room, according to that one. */
  readonly servers: readonly string[];
  /** Whether the state lacks the members that the join does not need. */
  readonly membersOmitted: boolean;
  /** How many events were left out because a server's keys could not be fetched. */
  readonly unchecked: number;
}

/**
 * How many servers get our events on the word of the resident server, until the signed memberships say which servers
 * are in the room. A wrong list could direct our traffic at anybody, so there are few; the others get those events when
 * the state is complete.
 */
const TRUSTED_SERVERS = 100;

export interface AdoptDeps {
  readonly db: Database;
  readonly events: EventStore;
  readonly states: StateStore;
  readonly extremities: Extremities;
  readonly members: Members;
  readonly rooms: RoomTable;
  readonly invitations: Invitations;
  readonly changes: StateChanges;
  readonly incomplete: PartialStateRooms;
  readonly positions: Positions;
  readonly outliers: Outliers;
  readonly judge: Judge;
  readonly stateIndex: StateIndex;
  readonly emit: (event: StoredEvent, info: { live: boolean }) => void;
}

/**
 * Stores a room from the `send_join` response of another server. To be called in the room's turn.
 *
 * @throws MatrixError 502 when the response is inconsistent, 403 when its state does not authorise the join
 * @see Matrix specification, server-server API, "Joining Rooms"
 */
export async function adoptJoin(deps: AdoptDeps, adopted: AdoptedJoin): Promise<void> {
  const { roomId, version, join, state, authChain } = adopted;
  const { db, events, states, rooms, invitations, incomplete, positions, outliers, judge, stateIndex } = deps;
  const create = [...state, ...authChain].find((pdu) => isCreate(pdu) && roomIdOf(pdu, version) === roomId);
  if (!create) throw new MatrixError(502, 'M_UNKNOWN', 'The other server sent a state without a create event.');
  if ((member(create.content, 'room_version') ?? '1') !== version.id) {
    throw new MatrixError(502, 'M_UNKNOWN', 'The other server sent a create event of another room version.');
  }
  const createId = eventId(create, version);
  await outliers.store({ roomId, version, create }, [create, ...authChain, ...state]);

  const before = new Map<StateKey, string>([[stateKey('m.room.create', ''), createId]]);
  const put = (event: StoredEvent): void => {
    const { type, state_key: key } = event.pdu;
    if (key !== undefined && !event.rejected && event.roomId === roomId) before.set(stateKey(type, key), event.eventId);
  };
  // The memberships that authorise the join belong to the state too, and are not repeated there.
  if (adopted.membersOmitted) for (const event of (await events.getMany(join.auth_events)).values()) put(event);
  for (const event of (await events.getMany(state.map((pdu) => eventId(pdu, version)))).values()) put(event);
  const joinId = eventId(join, version);
  try {
    checkAuth(join, joinId, version, await judge.view({ version, create }, before, join));
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    throw new MatrixError(
      403,
      'M_FORBIDDEN',
      `The state sent by the other server does not allow the join: ${error.message}`,
    );
  }

  const old = (await rooms.find(roomId))?.state.map;
  const position = positions.take();
  const lacking: PartialStateRoom | undefined =
    adopted.membersOmitted || adopted.unchecked > 0
      ? {
          roomId,
          joinEvent: joinId,
          position,
          membersOmitted: adopted.membersOmitted,
          servers: [...new Set([adopted.resident, ...adopted.servers])].slice(0, TRUSTED_SERVERS),
        }
      : undefined;
  deps.members.changing(roomId);
  try {
    const { room, event } = await db.transaction(async (tx) => {
      const stateBefore = await states.derive(tx, roomId, undefined, before);
      const after = new Map(before);
      const joinKey = stateKey('m.room.member', join.state_key ?? '');
      after.set(joinKey, joinId);
      const stateAfter = await states.derive(tx, roomId, stateBefore, after);
      const stored: StoredEvent = {
        eventId: joinId,
        roomId,
        pdu: join,
        position,
        rejected: false,
        softFailed: false,
        outlier: false,
        stateBefore: stateBefore.group,
        stateAfter: stateAfter.group,
      };
      await events.put(stored, tx);
      const entered: Room = { roomId, version, create, createId, extremities: [joinId], state: stateAfter };
      await rooms.enter(entered, joinId, tx);
      await writeTogether(db, await deps.extremities.writes(roomId, joinId, join), tx);
      await writeTogether(db, await stateIndex.enter(entered, position, { id: joinId, pdu: join }), tx);
      // A user of ours may be in the room already. For all others the room is new, and they get the whole state.
      const map = stateAfter.map;
      const keys = old === undefined ? [joinKey] : differences(old, map);
      await deps.changes.put(tx, roomId, position, keys, old ?? before, map);
      await writeTogether(db, [lacking ? incomplete.write(lacking) : incomplete.learning(roomId, position, true)], tx);
      await invitations.removeAll(roomId, tx);
      return { room: entered, event: stored };
    });
    deps.members.changing(roomId);
    if (lacking) incomplete.noted(lacking);
    else incomplete.learned(roomId, true);
    events.committed(event);
    rooms.committed(room);
    positions.settle(position);
    deps.emit(event, { live: true });
  } finally {
    positions.settle(position);
  }
}

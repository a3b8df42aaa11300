/** Puts the room engine together. */
import type { Logger } from 'pino';
import type { JsonObject } from '../../../federation/json.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import type { Database } from '../../database/database.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { Positions } from '../stream/positions.ts';
import { ALL_VISIBLE } from '../visibility.ts';
import type { Visibility } from '../visibility.ts';
import type { Trust } from '../trust/trust.ts';
import { Backfill } from './backfill.ts';
import { Completion } from './completion.ts';
import { Entering } from './entering.ts';
import { EventStore } from './event-store.ts';
import type { StoredEvent } from './event-store.ts';
import { Extremities } from './extremities.ts';
import { ForkBudget } from './fork-budget.ts';
import { GapFilling } from './gap-filling.ts';
import { Handshakes } from './handshakes.ts';
import { History } from './history.ts';
import { inTurnOf } from './in-turn.ts';
import { PartialStateRooms } from './partial-state-rooms.ts';
import { Invitations } from './invitations.ts';
import { Judge } from './judge.ts';
import { LocalEvents } from './local-events.ts';
import { Members } from './members.ts';
import { Memberships } from './memberships.ts';
import { OutOfBandMemberships } from './out-of-band-memberships.ts';
import { ExtremityMerger } from './extremity-merger.ts';
import { MessageBatches } from './message-batches.ts';
import { Outliers } from './outliers.ts';
import { Placing } from './placing.ts';
import type { EventIndex, InvitePermissions, LocalRights, Sender } from './ports.ts';
import { Receiver } from './receive.ts';
import { EarlyRedactions } from './redactions.ts';
import { RemoteAccess } from './remote-access.ts';
import { SendRules } from './send-rules.ts';
import { Review } from './review.ts';
import { RoomTable } from './room.ts';
import { RoomListeners } from './room-listeners.ts';
import type { EventInfo } from './room-listeners.ts';
import { RoomTurns } from './room-turns.ts';
import type { RoomViewsDeps } from './room-views.ts';
import { RoomWriter } from './room-writer.ts';
import { StateChanges } from './state-changes.ts';
import { StateIndex } from './state-index.ts';
import { StateResolver } from './state-resolver.ts';
import { StateStore } from './state-store.ts';
import { FetchAndPlace } from './fetch-and-place.ts';
import { FetchLimits } from './dependency-fetcher.ts';
import { Timeline } from './timeline.ts';

export interface RoomsOptions {
  /** What features index of each stored event. */
  readonly indexes?: readonly EventIndex[];
  /** Without it, everybody may invite everybody. */
  readonly invitePermissions?: Pick<InvitePermissions, 'check'>;
  /** Without it, invitations from all servers are taken. */
  readonly trust?: Pick<Trust, 'requireTrusted'>;
  readonly db: Database;
  readonly serverName: string;
  readonly key: SigningKey;
  readonly sender: Sender;
  readonly positions: Positions;
  readonly notifier: Notifier;
  /** Display name, avatar and guest flag of a local user, as in a membership event. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly rights: LocalRights;
  /** Without it, everybody may know of everybody. */
  readonly visibility?: Visibility;
  readonly log: Logger;
}

/** The parts of the engine that `Rooms` exposes to the rest of the homeserver. */
export interface RoomParts extends RoomViewsDeps {
  readonly memberships: Memberships;
  readonly elsewhere: OutOfBandMemberships;
  readonly handshakes: Handshakes;
  readonly writer: RoomWriter;
  readonly receiver: Receiver;
  readonly entering: Entering;
  readonly completion: Completion;
  readonly listeners: RoomListeners;
  readonly remote: RemoteAccess;
  readonly sendRules: SendRules;
}

/** Reads the lowest position of the history, and makes the parts. */
export async function roomParts(options: RoomsOptions): Promise<RoomParts> {
  const { db, serverName, positions, notifier, log } = options;
  const incomplete = await PartialStateRooms.load(db, positions.current);
  const redactions = await EarlyRedactions.load(db);
  const events = new EventStore(db, options.indexes);
  const firstPosition = await events.firstPosition();
  const states = new StateStore(db);
  const members = new Members(db);
  const listeners = new RoomListeners(notifier, log);
  const remote = new RemoteAccess();
  const sendRules = new SendRules();
  const stored = {
    ...options,
    visibility: options.visibility ?? ALL_VISIBLE,
    events,
    states,
    extremities: new Extremities(db, events),
    rooms: new RoomTable(db, events, states),
    members,
    invitations: new Invitations(db),
    changes: new StateChanges(db, positions.current),
    history: new History(events, states),
    forks: new ForkBudget(),
    incomplete,
    redactions,
    emit: (event: StoredEvent, info: EventInfo) => listeners.emit(event, info),
  };
  const judged = {
    ...stored,
    judge: new Judge(stored),
    resolver: new StateResolver(stored),
    stateIndex: new StateIndex(stored),
  };
  const timeline = new Timeline(judged);
  const local = new LocalEvents({ ...judged, timeline, sendRules });
  const turns = new RoomTurns();
  const inTurn = inTurnOf({ turns, rooms: stored.rooms, ends: new ExtremityMerger({ ...stored, local }) });
  const shared = {
    ...judged,
    timeline,
    local,
    turns,
    inTurn,
    remoteGraph: () => remote.require().graph,
    remoteMemberships: () => remote.require().memberships,
    outliers: new Outliers(stored),
    askers: new FetchLimits(),
  };

  const placing = new FetchAndPlace({ ...shared, placing: new Placing(shared) });
  const receiver = new Receiver({ ...shared, placing, gaps: new GapFilling({ ...shared, placing }) });
  const backfill = new Backfill({ ...shared, receiver, remoteGraph: () => remote.find()?.graph }, firstPosition);
  const completion = new Completion({
    ...shared,
    review: new Review(shared),
    wake: async (roomId) => {
      notifier.wakeRooms([roomId]);
      notifier.wakeUsers(await members.joinedOf(roomId, serverName));
      listeners.emitMembers(roomId);
    },
    onServers: (roomId, servers) => listeners.emitServers(roomId, servers),
  });
  const elsewhere = new OutOfBandMemberships({ ...shared, listeners });
  const memberships = new Memberships({
    ...shared,
    elsewhere,
    permissions: options.invitePermissions,
    trust: options.trust,
  });
  return {
    ...shared,
    backfill,
    memberships,
    elsewhere,
    handshakes: new Handshakes(shared),
    writer: new RoomWriter({ ...shared, batches: new MessageBatches(shared), memberships }),
    receiver,
    entering: new Entering({ ...shared, receiver, completion }),
    completion,
    listeners,
    remote,
    sendRules,
  };
}

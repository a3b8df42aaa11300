/**
 * The room engine as the rest of the homeserver sees it. Rules of rooms live here and in federation/; who calls is
 * already known to be the user it names.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { powerLevelOf, stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { eventId, isCreate, isUserId, redactsOf, serverOf } from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { readLevel } from '../../../federation/power-levels.ts';
import { DEFAULT_ROOM_VERSION, roomVersion } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { displayName, displayTitle } from '../../../protocol/display-text.ts';
import type { Database } from '../../database/database.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { Positions } from '../stream/positions.ts';
import { readToken } from '../stream/tokens.ts';
import { adoptJoin } from './adopt.ts';
import type { AdoptDeps, AdoptedJoin } from './adopt.ts';
import { Backfill } from './backfill.ts';
import { Completion } from './completion.ts';
import { createContent, firstEvents } from './create-room.ts';
import type { CreateRoomOptions } from './create-room.ts';
import { EventStore } from './event-store.ts';
import type { StoredEvent } from './event-store.ts';
import { Extremities } from './extremities.ts';
import { firstBreak } from './gaps.ts';
import { ForkBudget } from './fork-budget.ts';
import { History } from './history.ts';
import { IncompleteRooms } from './incomplete-rooms.ts';
import { Invitations } from './invitations.ts';
import type { Invitation } from './invitations.ts';
import { LocalEvents } from './local-events.ts';
import type { NewEvent } from './local-events.ts';
import { Members } from './members.ts';
import { Memberships } from './memberships.ts';
import { MergedEnds } from './merged-ends.ts';
import { MessageBatches } from './message-batches.ts';
import type { MemberOf } from './members.ts';
import { Outliers } from './outliers.ts';
import type { EventIndex, InvitePermissions, LocalRights, RemoteRooms, Sender } from './ports.ts';
import { readPage } from './pages.ts';
import type { Page, PageQuery } from './pages.ts';
import { Placing } from './placing.ts';
import { Receiver } from './receive.ts';
import type { Urgency } from './receive.ts';
import { EarlyRedactions } from './redactions.ts';
import { currentId, RoomTable } from './room.ts';
import type { Room } from './room.ts';
import { RoomTurns } from './room-turns.ts';
import type { Whose } from './room-turns.ts';
import { StateChanges } from './state-changes.ts';
import { StateStore } from './state-store.ts';
import { signedForm } from './stored-event.ts';
import { Askers, UnknownPlaceError } from './supply.ts';
import { Timeline } from './timeline.ts';
import { upgradeRoom } from './upgrade.ts';
import type { UpgradeOptions } from './upgrade.ts';

export type { CreateRoomOptions } from './create-room.ts';
export type { StoredEvent } from './event-store.ts';
export type { NewEvent } from './local-events.ts';

/** Told of every accepted event after it was stored, in order within a room. Its exceptions change nothing. */
export type EventListener = (event: StoredEvent, info: { live: boolean }) => void;

/** How a user stands to a room, as far as they may look into it. */
export interface Standing {
  /** undefined for somebody who was never in a room that is open to all. */
  readonly membership: string | undefined;
  /** Stream position up to which they may look: where they went out, if they are not inside. */
  readonly position: number;
}

export interface RoomsOptions {
  /** What features note of each event that is stored. */
  readonly indexes?: readonly EventIndex[];
  /** Without it everybody may be invited by everybody. */
  readonly invitePermissions?: Pick<InvitePermissions, 'check'>;
  readonly db: Database;
  readonly serverName: string;
  readonly key: SigningKey;
  readonly sender: Sender;
  readonly positions: Positions;
  readonly notifier: Notifier;
  /** Name and picture of a local user, and whether it is a guest, as they stand in a membership. */
  readonly profile: (userId: string) => Promise<JsonObject>;
  readonly rights: LocalRights;
  readonly log: Logger;
}

/** Changes of one membership that are looked at together. */
const CHANGES_AT_ONCE = 50;
/** How long somebody waits who reads a page whose history has to be fetched, in ms. */
const HISTORY_PATIENCE_MS = 10_000;
/** How long somebody waits who asks for the members of a room that is still being completed, in ms. */
const WHOLE_PATIENCE_MS = 60_000;

export class Rooms {
  readonly #options: RoomsOptions;
  readonly #turns = new RoomTurns();
  readonly #listeners = new Set<EventListener>();
  readonly #serverListeners = new Set<(roomId: string, servers: readonly string[]) => void>();
  readonly #memberListeners = new Set<(roomId: string) => void>();
  readonly #events: EventStore;
  readonly #rooms: RoomTable;
  readonly #members: Members;
  readonly #invitations: Invitations;
  readonly #positions: Positions;
  readonly #timeline: Timeline;
  readonly #local: LocalEvents;
  readonly #batches: MessageBatches;
  readonly #ends: MergedEnds;
  readonly #receiver: Receiver;
  readonly #backfill: Backfill;
  readonly #adoptDeps: AdoptDeps;
  readonly #states: StateStore;
  readonly #incomplete: IncompleteRooms;
  readonly #completion: Completion;
  /** How the current state of rooms moved. */
  readonly changes: StateChanges;
  /** The graph, for servers. */
  readonly history: History;
  /** Who enters, leaves and lets in. */
  readonly memberships: Memberships;
  #remote: RemoteRooms | undefined;
  /** When the last room was created here, Unix time in ms. */
  #lastCreation = 0;

  private constructor(
    options: RoomsOptions,
    first: number,
    { incomplete, redactions }: { incomplete: IncompleteRooms; redactions: EarlyRedactions },
  ) {
    const { db, serverName, key, sender, positions, log } = options;
    this.#options = options;
    this.#positions = positions;
    this.#incomplete = incomplete;
    this.#events = new EventStore(db, options.indexes);
    this.#states = new StateStore(db);
    this.changes = new StateChanges(db, positions.current);
    this.#rooms = new RoomTable(db, this.#events, this.#states);
    this.#members = new Members(db);
    this.#invitations = new Invitations(db);
    const shared = {
      db,
      serverName,
      events: this.#events,
      states: this.#states,
      extremities: new Extremities(db, this.#events),
      rooms: this.#rooms,
      members: this.#members,
      invitations: this.#invitations,
      changes: this.changes,
      forks: new ForkBudget(),
      incomplete,
      redactions,
      positions,
      sender,
      emit: (event: StoredEvent, info: { live: boolean }) => this.#emit(event, info),
      log,
    };
    this.#timeline = new Timeline(shared);
    const { rights, profile } = options;
    this.#local = new LocalEvents({ ...shared, timeline: this.#timeline, key, rights, profile });
    this.#batches = new MessageBatches({
      ...shared,
      timeline: this.#timeline,
      local: this.#local,
      inTurn: (roomId, task) => this.#inTurn(roomId, task),
    });
    this.#ends = new MergedEnds({ ...shared, local: this.#local });
    const outliers = new Outliers(shared);
    const askers = new Askers();
    const others = <T>(roomId: string, task: (room: Room) => Promise<T>): Promise<T> =>
      this.#inTurn(roomId, task, 'foreign');
    this.#receiver = new Receiver({
      ...shared,
      outliers,
      askers,
      placing: new Placing({ ...shared, outliers, timeline: this.#timeline }),
      remote: () => this.#requireRemote(),
      inTurn: others,
    });
    this.#backfill = new Backfill({ ...shared, receiver: this.#receiver, askers, remote: () => this.#remote }, first);
    this.#adoptDeps = { ...shared, outliers, timeline: this.#timeline };
    this.#completion = new Completion({
      ...shared,
      outliers,
      timeline: this.#timeline,
      remote: () => this.#requireRemote(),
      inTurn: others,
      wake: async (roomId) => {
        options.notifier.wakeRooms([roomId]);
        options.notifier.wakeUsers(await this.joinedLocalUsers(roomId));
        for (const listener of this.#memberListeners) listener(roomId);
      },
      onServers: (roomId, servers) => {
        for (const listener of this.#serverListeners) listener(roomId, servers);
      },
    });
    this.history = new History(this.#events, this.#states);
    this.memberships = new Memberships({
      ...shared,
      key,
      timeline: this.#timeline,
      local: this.#local,
      history: this.history,
      remote: () => this.#requireRemote(),
      inTurn: (roomId, task, whose) => this.#inTurn(roomId, task, whose),
      outside: (roomId, task) =>
        this.#turns.run(roomId, 'own', async () => {
          if (!(await this.#members.servers(roomId)).has(serverName)) await task();
        }),
      whole: (roomId) => this.whole(roomId),
      profile,
      rights,
      letsGuestsIn: async (roomId) => {
        const event = await this.stateEvent(roomId, 'm.room.guest_access', '');
        return member(event?.pdu.content, 'guest_access') === 'can_join';
      },
      permissions: options.invitePermissions,
      emitInvitation: (invitation) => this.#emitInvitation(invitation),
    });
  }

  /** Reads where the history ends and makes the engine. */
  static async open(options: RoomsOptions): Promise<Rooms> {
    const { db, positions } = options;
    const incomplete = await IncompleteRooms.load(db, positions.current);
    const redactions = await EarlyRedactions.load(db);
    return new Rooms(options, await new EventStore(db).firstPosition(), { incomplete, redactions });
  }

  /** Goes on completing the rooms that were entered without their whole state. */
  start(): void {
    this.#completion.start();
  }

  /** Ends what waits to be tried again. */
  close(): void {
    this.#completion.close();
  }

  /** Gives the engine its way to other servers. */
  useRemote(remote: RemoteRooms): void {
    this.#remote = remote;
  }

  /** @returns a function that ends the listening */
  onEvent(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Listens for servers that turn out to be in a room when its members become known, and whom we did not know there.
   *
   * @returns a function that ends the listening
   */
  onServers(listener: (roomId: string, servers: readonly string[]) => void): () => void {
    this.#serverListeners.add(listener);
    return () => this.#serverListeners.delete(listener);
  }

  /** Listens for rooms whose members became known after we had entered. @returns a function that ends the listening */
  onMembers(listener: (roomId: string) => void): () => void {
    this.#memberListeners.add(listener);
    return () => this.#memberListeners.delete(listener);
  }

  /** Stream position up to which everything is stored. */
  get position(): number {
    return this.#positions.current;
  }

  /** Creates a room and sends the invitations. @returns the room id @throws MatrixError */
  async create(sender: string, options: CreateRoomOptions): Promise<string> {
    await this.#options.rights.require(sender, 'create');
    const version = roomVersion(options.roomVersion ?? DEFAULT_ROOM_VERSION);
    if (!version) throw new MatrixError(400, 'M_UNSUPPORTED_ROOM_VERSION', 'This room version is not supported.');
    for (const userId of options.invite ?? []) {
      if (!isUserId(userId)) throw new MatrixError(400, 'M_INVALID_PARAM', `${userId} is not a user id.`);
    }
    const opaque = `!${randomBytes(12).toString('base64url')}:${this.#options.serverName}`;
    const create = this.#local.sign({ version }, {
      type: 'm.room.create',
      state_key: '',
      sender,
      ...(version.hashRoomIds ? {} : { room_id: opaque }),
      content: createContent(sender, options, version),
      auth_events: [],
      prev_events: [],
      depth: 1,
      origin_server_ts: this.#creationTime(),
    } as UnsignedPdu);
    const createId = eventId(create, version);
    const roomId = version.hashRoomIds ? `!${createId.slice(1)}` : opaque;
    await this.#turns.run(roomId, 'own', async () => {
      const room = await this.#begin(roomId, version, create, createId);
      await this.#local.send(room, sender, {
        type: 'm.room.member',
        stateKey: sender,
        content: { ...(await this.#options.profile(sender)), membership: 'join' },
      });
      for (const event of firstEvents(sender, options, version.privilegedCreators)) {
        await this.#local.send(room, sender, event);
      }
    });
    for (const userId of options.invite ?? []) {
      await this.invite(roomId, sender, userId, options.isDirect === true ? { is_direct: true } : {});
    }
    return roomId;
  }

  /** Sends an event of a local user. @throws MatrixError 403 when the room's rules forbid it, 404 for no such room */
  async send(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent> {
    checkShown(event);
    if (this.#batches.takes(event)) return this.#batches.send(roomId, sender, event);
    return this.#inTurn(roomId, async (room) => this.#local.send(room, sender, event));
  }

  /** Enters a room, through another server when this one is not in it. @returns the room id */
  async join(
    userId: string,
    roomId: string,
    options: { via?: readonly string[]; content?: JsonObject } = {},
  ): Promise<string> {
    await this.memberships.join(userId, roomId, options);
    return roomId;
  }

  /** Invites a user of any server. @throws MatrixError */
  async invite(roomId: string, sender: string, target: string, content: JsonObject = {}): Promise<void> {
    await this.memberships.invite(roomId, sender, target, content);
  }

  /** Leaves a room, declines an invitation or takes a knock back. */
  async leave(roomId: string, userId: string, reason?: string): Promise<void> {
    await this.memberships.leave(roomId, userId, reason);
  }

  /** Replaces a room by one of another version. @returns the id of the new room @throws MatrixError */
  async upgrade(userId: string, roomId: string, options: UpgradeOptions): Promise<string> {
    return upgradeRoom(this, userId, roomId, options);
  }

  async forget(roomId: string, userId: string): Promise<void> {
    if ((await this.membership(roomId, userId)) === 'join') {
      throw new MatrixError(400, 'M_UNKNOWN', 'Leave the room first.');
    }
    await this.#invitations.remove(roomId, userId);
    await this.#members.forget(userId, roomId);
  }

  /** False when no state of any room moved after a stream position. */
  movedAfter(position: number): boolean {
    return this.changes.mayBeAfter(position);
  }

  /** Event ids of the current state; empty for a room that we do not have. */
  async stateIds(roomId: string): Promise<ReadonlyMap<StateKey, string>> {
    return (await this.#rooms.find(roomId))?.state.map ?? new Map();
  }

  /** The current state. @throws MatrixError 404 */
  async state(roomId: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const room = await this.#require(roomId);
    return this.#load(room.state.map);
  }

  /**
   * The state that a user may see: the current one of a room they are in, that of when they were inside last, or the
   * current one of a room whose history is open to the world.
   *
   * @param at a pagination token: the state at that time, as far as the user may see it
   * @throws MatrixError 403 for anybody else
   */
  async stateFor(roomId: string, userId: string, at?: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const { membership, position } = await this.requireStanding(roomId, userId);
    const open = membership === 'join' || membership === undefined;
    const limit = open ? this.position : position;
    if (open && at === undefined) return this.state(roomId);
    const upTo = at === undefined ? limit : Math.min(limit, readToken(at) - 1);
    const [event] = await this.#events.range(roomId, { before: upTo + 1, newestFirst: true, limit: 1 });
    if (event) return this.stateAfter(event);
    if (open) return this.#firstState(roomId);
    throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
  }

  /** As `stateFor`, when all members are known. @throws MatrixError 503 when that takes too long */
  async wholeStateFor(roomId: string, userId: string, at?: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const state = await this.stateFor(roomId, userId, at);
    if (!this.lacksMembers(roomId)) return state;
    await this.whole(roomId);
    return this.stateFor(roomId, userId, at);
  }

  /** The state after an event that we have. */
  async stateAfter(event: StoredEvent): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    if (event.stateAfter === undefined) return new Map();
    return this.#load((await this.#states.read(event.stateAfter)).map);
  }

  async stateEvent(roomId: string, type: string, key: string): Promise<StoredEvent | undefined> {
    const room = await this.#rooms.find(roomId);
    const id = room && currentId(room, type, key);
    return id === undefined ? undefined : this.#events.get(id);
  }

  async membership(roomId: string, userId: string): Promise<string | undefined> {
    const outside =
      serverOf(userId) === this.#options.serverName ? await this.#invitations.find(roomId, userId) : undefined;
    return outside?.membership ?? this.#members.membership(roomId, userId);
  }

  async roomsOf(userId: string, memberships: readonly string[]): Promise<MemberOf[]> {
    return this.#members.roomsOf(userId, memberships);
  }

  /** How a user stands to a room now; undefined for one that the user was never in or has forgotten. */
  async memberOf(roomId: string, userId: string): Promise<MemberOf | undefined> {
    const [row] = await this.#members.roomsOf(userId, ['join', 'invite', 'leave', 'ban', 'knock'], roomId);
    return row;
  }

  /**
   * How a user stands to a room now; undefined for somebody outside a room that is not open to all. Only who is or was
   * inside may look: an invitation, a knock, or the end of either opens nothing. That may change at any time: whoever
   * tells of many rooms leaves out those that have become invisible.
   */
  async standing(roomId: string, userId: string): Promise<Standing | undefined> {
    const row = await this.memberOf(roomId, userId);
    if (row?.membership === 'join') return row;
    const wentOut = row && (await this.#wentOut(roomId, userId));
    const isFormer = wentOut !== undefined && (row?.membership === 'leave' || row?.membership === 'ban');
    if (isFormer) return { membership: row.membership, position: wentOut };
    const visibility = await this.stateEvent(roomId, 'm.room.history_visibility', '');
    if (member(visibility?.pdu.content, 'history_visibility') === 'world_readable') {
      return { membership: undefined, position: this.position };
    }
    return wentOut === undefined ? undefined : { membership: 'leave', position: wentOut };
  }

  /** Where a user was inside last; undefined for who never was. */
  async #wentOut(roomId: string, userId: string): Promise<number | undefined> {
    for (let before = Number.MAX_SAFE_INTEGER; ;) {
      const changes = await this.changes.ofMemberBefore(roomId, userId, before, CHANGES_AT_ONCE);
      const ids = changes.flatMap(({ eventId: id, previous }) => [id, previous]).filter((id) => id !== undefined);
      const events = await this.#events.getMany(ids);
      const isInside = (id: string | undefined): boolean =>
        id !== undefined && member(events.get(id)?.pdu.content, 'membership') === 'join';
      const last = changes.find((change) => isInside(change.previous) && !isInside(change.eventId));
      if (last) return last.position;
      if (changes.length < CHANGES_AT_ONCE) return undefined;
      before = changes.at(-1)?.position ?? 0;
    }
  }

  /** For what is asked of one room. @throws MatrixError 403 for somebody outside a room that is not open to all */
  async requireStanding(roomId: string, userId: string): Promise<Standing> {
    const standing = await this.standing(roomId, userId);
    if (!standing) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    return standing;
  }

  /** An invitation to a room that this server is not in, a knock at one, or the end of either. */
  async invitation(roomId: string, userId: string): Promise<Invitation | undefined> {
    return this.#invitations.findAny(roomId, userId);
  }

  /** Servers with somebody in the room, ours among them. */
  async joinedServers(roomId: string): Promise<Set<string>> {
    return this.#members.servers(roomId);
  }

  /** Users in the room, of any server. */
  async joinedUsers(roomId: string): Promise<string[]> {
    return this.#members.joined(roomId);
  }

  /** How many users of any server are in the room. */
  async joinedCount(roomId: string): Promise<number> {
    return this.#members.joinedCount(roomId);
  }

  /** The current state events of one type. @throws MatrixError 404 */
  async stateOfType(roomId: string, type: string): Promise<StoredEvent[]> {
    const { map } = (await this.#require(roomId)).state;
    const ids = [...map].filter(([key]) => key.startsWith(`${type}\0`)).map(([, id]) => id);
    return [...(await this.#events.getMany(ids)).values()];
  }

  /** Users of this server in the room. */
  async joinedLocalUsers(roomId: string): Promise<string[]> {
    return this.#members.joinedOf(roomId, this.#options.serverName);
  }

  /** Users of any server who are in a room together with a user, without that user. */
  async sharedUsers(userId: string): Promise<string[]> {
    return this.#members.sharedWith(userId);
  }

  /** Whether a user is in a room together with somebody of a server. */
  async sharesRoomWith(userId: string, server: string): Promise<boolean> {
    return this.#members.sharesRoomWith(userId, server);
  }

  /** Whether a server is in a room together with this server. */
  async isNeighbour(server: string): Promise<boolean> {
    return this.#members.shareRoom(this.#options.serverName, server);
  }

  /** Level of a user in the current state; infinite for creators of a version 12 room. */
  async powerLevel(roomId: string, userId: string): Promise<number> {
    const room = await this.#require(roomId);
    const levels = await this.stateEvent(roomId, 'm.room.power_levels', '');
    return powerLevelOf(userId, room.version, {
      get: (type, key) => (type === 'm.room.power_levels' && key === '' && levels ? signedForm(levels) : undefined),
      create: room.create,
    });
  }

  /** Whether a user is in the room and may invite others. */
  async mayInvite(roomId: string, userId: string): Promise<boolean> {
    if ((await this.membership(roomId, userId)) !== 'join') return false;
    const levels = await this.stateEvent(roomId, 'm.room.power_levels', '');
    return (
      (await this.powerLevel(roomId, userId)) >=
      (readLevel(member(levels && signedForm(levels).content, 'invite')) ?? 0)
    );
  }

  /** A page of what a user may see; fetches history from other servers where ours has gaps. */
  async messages(roomId: string, userId: string, query: PageQuery): Promise<Page> {
    const now = await this.requireStanding(roomId, userId);
    const until = Date.now() + HISTORY_PATIENCE_MS;
    const deps = { events: this.#events, fillGap: (event: StoredEvent) => this.#backfill.before(event, until) };
    return readPage(deps, roomId, query, this.position, (event) => this.history.visibleToUser(event, userId, now));
  }

  /**
   * Whether a user may redact an event: their own, or any with the level for it. One that we do not have may be.
   *
   * @throws MatrixError 400 for an event of another room, 403 when the account allows no more than to take back one's own
   */
  async mayRedact(roomId: string, userId: string, targetId: string): Promise<boolean> {
    const target = await this.#events.get(targetId);
    if (target && target.roomId !== roomId) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This event is in another room.');
    }
    if (target?.pdu.sender === userId) return true;
    await this.#options.rights.require(userId, 'write');
    if (!target) return true;
    const levels = await this.stateEvent(roomId, 'm.room.power_levels', '');
    const needed = readLevel(member(levels && signedForm(levels).content, 'redact')) ?? 50;
    return (await this.powerLevel(roomId, userId)) >= needed;
  }

  /** The event that a redaction has redacted; undefined when it did not. */
  async redactedBy(redaction: StoredEvent): Promise<StoredEvent | undefined> {
    const version = await this.version(redaction.roomId);
    const targetId = version && redactsOf(redaction.pdu, version);
    const target = targetId === undefined ? undefined : await this.#events.get(targetId);
    return target?.redactedBy === redaction.eventId ? target : undefined;
  }

  /** One event that the user may see. @throws MatrixError 404 */
  async visibleEvent(roomId: string, userId: string, id: string): Promise<StoredEvent> {
    const event = await this.#events.get(id);
    if (event?.roomId === roomId && !event.rejected && !event.outlier && !(await this.#isHidden(event))) {
      // Somebody outside does not learn whether there is such an event.
      const now = await this.standing(roomId, userId);
      if (now && (await this.history.visibleToUser(event, userId, now))) return event;
    }
    throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such event, or you may not see it.');
  }

  /** Whether an event failed softly; what became part of the current state all the same is to be seen. */
  async #isHidden({ eventId: id, roomId, softFailed, pdu }: StoredEvent): Promise<boolean> {
    if (!softFailed) return false;
    const room = await this.#rooms.find(roomId);
    return room === undefined || currentId(room, pdu.type, pdu.state_key ?? '') !== id;
  }

  /** Those of some events of one room that a user may see, in their order; none for somebody outside. */
  async visibleAmong(roomId: string, userId: string, events: Iterable<StoredEvent>): Promise<StoredEvent[]> {
    const now = await this.standing(roomId, userId);
    return now ? this.visibleTo(now, roomId, userId, events) : [];
  }

  /** As `visibleAmong`, for a user whose standing is known already. */
  async visibleTo(
    standing: Standing,
    roomId: string,
    userId: string,
    events: Iterable<StoredEvent>,
  ): Promise<StoredEvent[]> {
    const visible: StoredEvent[] = [];
    for (const event of events) {
      if (event.roomId !== roomId || event.rejected || event.softFailed || event.outlier) continue;
      if (await this.history.visibleToUser(event, userId, standing)) visible.push(event);
    }
    return visible;
  }

  /** Accepted events of a room between two positions, both exclusive, whoever may see them. */
  async range(
    roomId: string,
    range: { after?: number; before?: number; newestFirst: boolean; limit: number },
  ): Promise<StoredEvent[]> {
    return this.#events.range(roomId, range);
  }

  /**
   * The first of some events, newest first in the order of the stream, before which history is missing or was fetched
   * later: who is told of what is new has to ask for what lies before it.
   */
  async firstBreak(page: readonly StoredEvent[]): Promise<StoredEvent | undefined> {
    return firstBreak(this.#events, page);
  }

  /** Fetches some of the history before the oldest event that we have. @returns false when there is none to be had */
  async fetchHistory(roomId: string): Promise<boolean> {
    return this.#backfill.beforeOldest(roomId);
  }

  /** The oldest event of the history that we have. */
  async oldest(roomId: string): Promise<StoredEvent | undefined> {
    return this.#events.oldest(roomId);
  }

  /** An event whatever its flags. */
  async event(id: string): Promise<StoredEvent | undefined> {
    return this.#events.get(id);
  }

  async events(ids: Iterable<string>): Promise<Map<string, StoredEvent>> {
    return this.#events.getMany(ids);
  }

  /** Version of a room that this server has or had. */
  async version(roomId: string): Promise<RoomVersion | undefined> {
    return (await this.#rooms.find(roomId))?.version;
  }

  /** Whether the room's access list lets a server take part. */
  async serverAllowed(roomId: string, server: string): Promise<boolean> {
    const acl = await this.stateEvent(roomId, 'm.room.server_acl', '');
    return serverAllowed(acl && signedForm(acl).content, server);
  }

  /** Whether this server may take part where a list like this holds. */
  wouldAllowUs(acl: JsonObject): boolean {
    return serverAllowed(acl, this.#options.serverName);
  }

  /**
   * Takes an event of another server; format, hash and signatures are checked by the caller.
   *
   * @param urgency `now` for one that has just come: what it needs is asked for 10 s at most, and not while the last
   *   event of the server in this room waits for what was not to be had
   * @throws MatrixError for a room that we do not have
   * @throws UnknownPlaceError when what it needs is not to be had now: it is to be tried `again`
   */
  async receive(roomId: string, pdu: Pdu, origin: string, urgency: Urgency = 'now'): Promise<StoredEvent> {
    return this.#receiver.receive(await this.#require(roomId), pdu, origin, urgency);
  }

  /** Makes a room ours that another server let us into. @throws MatrixError 403 or 502 */
  async adoptJoin(join: AdoptedJoin): Promise<void> {
    const { roomId } = join;
    const followed = await this.#turns.run(roomId, 'own', async () => {
      const room = await this.#rooms.find(roomId);
      if (room && (await this.#isFollowed(room, join.join))) return room;
      await adoptJoin(this.#adoptDeps, join);
      return undefined;
    });
    if (followed) {
      // Another server let the user in because nobody of ours could: the join is an event like any other.
      const stored = await this.#receiver.receive(followed, join.join, join.resident, 'again').catch(asUnreachable);
      if (stored.rejected || stored.softFailed)
        throw new MatrixError(403, 'M_FORBIDDEN', 'The rules of the room forbid it.');
    }
    this.#completion.begin(roomId);
  }

  /** Whether we know where an event belongs in a room, because we are in it or are just being told what it is. */
  async #isFollowed(room: Room, pdu: Pdu): Promise<boolean> {
    if ((await this.#members.servers(room.roomId)).has(this.#options.serverName)) return true;
    if (!this.#incomplete.lacksMembers(room.roomId)) return false;
    const known = await this.#events.getMany(pdu.prev_events);
    return pdu.prev_events.every((id) => known.get(id)?.stateAfter !== undefined);
  }

  /** Whether the members of a room are not known yet, because it was entered just now. */
  lacksMembers(roomId: string): boolean {
    return this.#incomplete.lacksMembers(roomId);
  }

  /** Whether a user is in a room; where the members are not known yet, anybody of a server that is there may be. */
  async isInside(roomId: string, userId: string): Promise<boolean> {
    const membership = await this.membership(roomId, userId);
    if (membership !== undefined || !this.lacksMembers(roomId)) return membership === 'join';
    return (await this.joinedServers(roomId)).has(serverOf(userId));
  }

  /** Waits until the members of a room are known. @throws MatrixError 503 when that takes too long */
  async whole(roomId: string, waitMs = WHOLE_PATIENCE_MS): Promise<void> {
    if (await this.#incomplete.whole(roomId, waitMs)) return;
    throw new MatrixError(503, 'M_UNKNOWN', 'The room was entered just now, and who is in it is not known yet.');
  }

  /** At which positions after one the members of some rooms became known. */
  async completedAfter(roomIds: readonly string[], position: number): Promise<Map<string, number>> {
    return this.#incomplete.completedAfter(roomIds, position);
  }

  /** Current forward extremities. */
  async extremities(roomId: string): Promise<readonly string[]> {
    return (await this.#require(roomId)).extremities;
  }

  /** Room ids with a member of the server in it, both ways, for messages to it. */
  async sharedWith(roomId: string, server: string): Promise<boolean> {
    return (await this.#members.servers(roomId)).has(server);
  }

  /** No two rooms begin in the same ms: the id of a room is the hash of its create event, which may say no more. */
  #creationTime(): number {
    this.#lastCreation = Math.max(Date.now(), this.#lastCreation + 1);
    return this.#lastCreation;
  }

  async #begin(roomId: string, version: RoomVersion, create: Pdu, createId: string): Promise<Room> {
    const { db } = this.#options;
    const position = this.#positions.take();
    try {
      const { room, event } = await db.transaction(async (tx) => {
        const before = await this.#states.derive(tx, roomId, undefined, new Map());
        const state = await this.#states.derive(
          tx,
          roomId,
          before,
          new Map([[stateKey('m.room.create', ''), createId]]),
        );
        const stored: StoredEvent = {
          eventId: createId,
          roomId,
          pdu: create,
          position,
          rejected: false,
          softFailed: false,
          outlier: false,
          stateBefore: before.group,
          stateAfter: state.group,
        };
        await this.#events.put(stored, tx);
        const begun: Room = { roomId, version, create, createId, extremities: [createId], state };
        await this.#rooms.put(begun, tx);
        await this.changes.put(tx, roomId, position, [...state.map.keys()], before.map, state.map);
        return { room: begun, event: stored };
      });
      this.#events.committed(event);
      this.#rooms.committed(room);
      this.#positions.settle(position);
      this.#emit(event, { live: true });
      return room;
    } finally {
      this.#positions.settle(position);
    }
  }

  /**
   * The state when somebody entered a room for the first time; the current one where we do not have its beginning.
   * Before that there is none, but a token from before the first event is what clients have of a room that a whole
   * timeline fits into.
   */
  async #firstState(roomId: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const [create, join] = await this.#events.range(roomId, { newestFirst: false, limit: 2 });
    const isWhole = create !== undefined && isCreate(create.pdu) && join?.stateAfter !== undefined;
    return isWhole ? this.stateAfter(join) : this.state(roomId);
  }

  async #load(map: ReadonlyMap<StateKey, string>): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const events = await this.#events.getMany(map.values());
    const state = new Map<StateKey, StoredEvent>();
    for (const [key, id] of map) {
      const event = events.get(id);
      if (event) state.set(key, event);
    }
    return state;
  }

  /** Runs a task in the turn of a room, which leaves it with no more ends than one event can cite. */
  #inTurn<T>(roomId: string, task: (room: Room) => Promise<T>, whose: Whose = 'own'): Promise<T> {
    return this.#turns.run(roomId, whose, async () => {
      const room = await this.#require(roomId);
      try {
        return await task(room);
      } finally {
        await this.#ends.merge(room);
      }
    });
  }

  async #require(roomId: string): Promise<Room> {
    const room = await this.#rooms.find(roomId);
    if (!room) throw new MatrixError(404, 'M_NOT_FOUND', 'This server does not know the room.');
    return room;
  }

  #requireRemote(): RemoteRooms {
    if (!this.#remote) throw new MatrixError(502, 'M_UNKNOWN', 'This server has no connection to others.');
    return this.#remote;
  }

  #emit(event: StoredEvent, info: { live: boolean }): void {
    const { pdu } = event;
    const { notifier } = this.#options;
    notifier.wakeRooms([event.roomId]);
    if (pdu.type === 'm.room.member' && pdu.state_key !== undefined) notifier.wakeUsers([pdu.state_key]);
    for (const listener of this.#listeners) {
      try {
        listener(event, info);
      } catch (error) {
        this.#options.log.error({ err: error, roomId: event.roomId }, 'a listener of events failed');
      }
    }
  }

  /** An invitation is no event of a room of ours, but those who listen want to know of it all the same. */
  #emitInvitation(invitation: Pick<Invitation, 'roomId' | 'userId' | 'event' | 'position' | 'version'>): void {
    const version = roomVersion(invitation.version);
    if (!version) return;
    this.#emit(
      {
        eventId: eventId(invitation.event, version),
        roomId: invitation.roomId,
        pdu: invitation.event,
        position: invitation.position,
        rejected: false,
        softFailed: false,
        outlier: true,
      },
      { live: true },
    );
  }
}

/** @throws MatrixError 502 where an event can not be put in its place now */
function asUnreachable(error: unknown): never {
  if (!(error instanceof UnknownPlaceError)) throw error;
  throw new MatrixError(502, 'M_UNKNOWN', 'The other servers did not say what came before the join.');
}

/** @throws MatrixError 400 for a name or a title that nobody can see */
function checkShown({ type, content }: NewEvent): void {
  const name = type === 'm.room.member' ? text(content, 'displayname') : undefined;
  const title = type === 'm.room.name' ? text(content, 'name') : undefined;
  if ((!name || displayName(name) !== undefined) && (!title || displayTitle(title) !== undefined)) return;
  throw new MatrixError(400, 'M_BAD_JSON', 'This name has no visible character.');
}

/** A member of content that is text. */
export function text(content: JsonObject, key: string): string | undefined {
  const value = member(content, key);
  return typeof value === 'string' ? value : undefined;
}

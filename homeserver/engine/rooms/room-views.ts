/** What a user may see of rooms: state, events and pages of history. */
import type { StateKey } from '../../../federation/auth-rules.ts';
import { isCreate } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { readToken } from '../stream/tokens.ts';
import type { Backfill } from './backfill.ts';
import type { StoredEvent } from './event-store.ts';
import { readPage } from './pages.ts';
import type { Page, PageQuery } from './pages.ts';
import { currentId } from './room.ts';
import { RoomReader } from './room-reader.ts';
import type { RoomReaderDeps } from './room-reader.ts';

export interface RoomViewsDeps extends RoomReaderDeps {
  readonly backfill: Backfill;
}

/** A user's membership as far as it lets them see the room. */
export interface Standing {
  /** Undefined for somebody who was never in a world-readable room. */
  readonly membership: string | undefined;
  /** Stream position up to which they may read: that of their leave, unless they are joined. */
  readonly position: number;
}

/** Changes of one membership read at once. */
const CHANGES_AT_ONCE = 50;
/** How long a page waits for history to be backfilled, in ms. */
const HISTORY_PATIENCE_MS = 10_000;

export class RoomViews extends RoomReader {
  readonly #deps: RoomViewsDeps;

  constructor(deps: RoomViewsDeps) {
    super(deps);
    this.#deps = deps;
  }

  /**
   * The user's current standing; undefined for somebody who may not see the room. Only users who are or were joined may
   * see it, or anybody in a world-readable room: an invite, a knock, or the end of either gives no access. That may
   * change at any time: callers that report on many rooms drop those that have become invisible.
   */
  async standing(roomId: string, userId: string): Promise<Standing | undefined> {
    const row = await this.memberOf(roomId, userId);
    if (row?.membership === 'join') return row;
    const wentOut = row && (await this.#wentOut(roomId, userId));
    const isFormer = wentOut !== undefined && (row?.membership === 'leave' || row?.membership === 'ban');
    if (isFormer) return { membership: row.membership, position: wentOut };
    if (await this.mayPeek(roomId, userId)) return { membership: undefined, position: this.position };
    return wentOut === undefined ? undefined : { membership: 'leave', position: wentOut };
  }

  /**
   * The same for one room. @throws MatrixError 403 for somebody who may not see the room
   *
   * @throws MatrixError 403 for somebody outside a room that is not open to all
   */
  async requireStanding(roomId: string, userId: string): Promise<Standing> {
    const standing = await this.standing(roomId, userId);
    if (!standing) throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
    return standing;
  }

  /** The stream position up to which a user was last joined; undefined if never. */
  async #wentOut(roomId: string, userId: string): Promise<number | undefined> {
    for (let before = Number.MAX_SAFE_INTEGER; ;) {
      const changes = await this.changes.ofMemberBefore(roomId, userId, before, CHANGES_AT_ONCE);
      const ids = changes.flatMap(({ eventId: id, previous }) => [id, previous]).filter((id) => id !== undefined);
      const events = await this.#deps.events.getMany(ids);
      const isInside = (id: string | undefined): boolean =>
        id !== undefined && member(events.get(id)?.pdu.content, 'membership') === 'join';
      const last = changes.find((change) => isInside(change.previous) && !isInside(change.eventId));
      if (last) return last.position;
      if (changes.length < CHANGES_AT_ONCE) return undefined;
      before = changes.at(-1)?.position ?? 0;
    }
  }

  /**
   * The state that a user may see: the current one of a room they are in, that at their leave, or the current one of a
   * world-readable room.
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
    const [event] = await this.#deps.events.range(roomId, { before: upTo + 1, newestFirst: true, limit: 1 });
    if (event) return this.stateAfter(event);
    if (open) return this.#firstState(roomId);
    throw new MatrixError(403, 'M_FORBIDDEN', 'You are not in this room.');
  }

  /** Like `stateFor`, once all members are known. @throws MatrixError 503 when that takes too long */
  async wholeStateFor(roomId: string, userId: string, at?: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const state = await this.stateFor(roomId, userId, at);
    if (!this.lacksMembers(roomId)) return state;
    await this.whole(roomId);
    return this.stateFor(roomId, userId, at);
  }

  /**
   * The state after the first event of a room, or the current one if we do not have its beginning. Before it there is
   * none, but clients hold a token from before the first event if the whole timeline fits into their first sync.
   */
  async #firstState(roomId: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    const [create, join] = await this.#deps.events.range(roomId, { newestFirst: false, limit: 2 });
    const isWhole = create !== undefined && isCreate(create.pdu) && join?.stateAfter !== undefined;
    return isWhole ? this.stateAfter(join) : this.state(roomId);
  }

  /** A page of the history that a user may see; backfills gaps. */
  async messages(roomId: string, userId: string, query: PageQuery): Promise<Page> {
    const now = await this.requireStanding(roomId, userId);
    const until = Date.now() + HISTORY_PATIENCE_MS;
    const deps = {
      events: this.#deps.events,
      fillGap: (event: StoredEvent) => this.#deps.backfill.before(event, until),
    };
    return readPage(deps, roomId, query, this.position, (event) => this.history.visibleToUser(event, userId, now));
  }

  /**
   * Backfills history before the oldest event. @returns false when there is none to be had
   *
   * @returns false when there is none to be had
   */
  async fetchHistory(roomId: string): Promise<boolean> {
    return this.#deps.backfill.beforeOldest(roomId);
  }

  /** One event that the user may see. @throws MatrixError 404 */
  async visibleEvent(roomId: string, userId: string, id: string): Promise<StoredEvent> {
    const event = await this.#deps.events.get(id);
    if (event?.roomId === roomId && !event.rejected && !event.outlier && !(await this.#isHidden(event))) {
      // Whether the event exists is not revealed to somebody outside.
      const now = await this.standing(roomId, userId);
      if (now && (await this.history.visibleToUser(event, userId, now))) return event;
    }
    throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such event, or you may not see it.');
  }

  /** Those of the events (of one room) that a user may see, in order; none for somebody outside. */
  async visibleAmong(roomId: string, userId: string, events: Iterable<StoredEvent>): Promise<StoredEvent[]> {
    const now = await this.standing(roomId, userId);
    return now ? this.visibleTo(now, roomId, userId, events) : [];
  }

  /** Like `visibleAmong`, for a user whose standing is known. */
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

  /** Whether an event is soft-failed; one that became part of the current state all the same is visible. */
  async #isHidden({ eventId: id, roomId, softFailed, pdu }: StoredEvent): Promise<boolean> {
    if (!softFailed) return false;
    const room = await this.#deps.rooms.find(roomId);
    return room === undefined || currentId(room, pdu.type, pdu.state_key ?? '') !== id;
  }
}

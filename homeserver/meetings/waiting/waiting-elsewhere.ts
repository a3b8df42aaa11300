/**
 * Who waits at other instances, as each has told of its own people: its newest list, forgotten when it is not told again in
 * time. An instance may tell of whoever the room knows (a member, somebody who is invited, has knocked or was sent back),
 * and, while it is in the room, of guests.
 */
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { serverOf } from '../../../federation/event.ts';
import { displayName } from '../../../protocol/display-text.ts';
import type { Clock } from '../../base/clock.ts';
import { MatrixError } from '../../base/errors.ts';
import { WAITING_LISTS, WAITING_RATE } from '../../base/limits.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { EntryRule } from '../conference/entry-rule.ts';
import { localpartOf } from '../people.ts';
import type { WaitingAnswer, WaitingMessage } from './messages.ts';
import type { WaitingOf } from './waiting-list.ts';

/** A list that was not told again is forgotten after this time, in ms. */
const KEPT_MS = 75_000;
/** How long after everybody was admitted those are admitted too who had no place in a list. In ms. */
const LATER_MS = 60_000;

type Told = WaitingMessage['waiting'][number];

interface Kept extends WaitingOf {
  /** Monotonic, in ms. */
  readonly at: number;
}

interface Sweep {
  /** Who has waited since before, Unix ms. */
  readonly before: number;
  /** Monotonic, in ms. */
  readonly until: number;
  admit(userIds: readonly string[]): void;
}

export interface WaitingElsewhereDeps {
  readonly rooms: Pick<Rooms, 'joinedServers' | 'serverAllowed' | 'membership'>;
  readonly entry: Pick<EntryRule, 'reason' | 'admission'>;
  readonly clock: Clock;
  isTold(roomId: string): boolean;
  /** Servers with people in the conference, a bounded number. */
  conferring(roomId: string): Promise<string[]>;
  changed(roomId: string): void;
}

export class WaitingElsewhere {
  readonly #deps: WaitingElsewhereDeps;
  /** By room and server. */
  readonly #lists = new Map<string, Map<string, Kept>>();
  readonly #sweeps = new Map<string, Sweep>();
  readonly #rate = new RateLimiterMemory({ points: WAITING_RATE.points, duration: WAITING_RATE.seconds });
  #count = 0;

  constructor(deps: WaitingElsewhereDeps) {
    this.#deps = deps;
  }

  /**
   * Takes the list of an instance.
   *
   * @throws MatrixError 403 for a server that has nobody to wait for this room, 429 for one that tells too much
   */
  async take(origin: string, roomId: string, { waiting, count }: WaitingMessage): Promise<WaitingAnswer> {
    const { rooms, clock, isTold, conferring, changed } = this.#deps;
    await this.#limit(origin);
    const isInside = (await rooms.joinedServers(roomId)).has(origin);
    const allowed = await rooms.serverAllowed(roomId, origin).catch(() => false);
    const named = new Map(
      waiting.filter(({ user_id: id }) => serverOf(id) === origin).map((one) => [one.user_id, one]),
    );
    const standings = await Promise.all(
      [...named.values()].map(async (one) => ({ one, standing: await this.#standing(roomId, one, isInside) })),
    );
    const known = standings.filter(({ standing }) => standing !== 'stranger');
    // To have nobody who waits is told by who had somebody.
    if (!allowed || (!isInside && known.length === 0 && !this.#lists.get(roomId)?.has(origin))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'Nobody of your server can wait for this room.');
    }
    const people = known.filter(({ standing }) => standing === 'waits').map(({ one }) => shown(one));
    const strangers = waiting.length - people.length;
    this.#put(roomId, {
      server: origin,
      people,
      count: Math.max(people.length, count - strangers),
      at: clock.monotonic(),
    });
    changed(roomId);
    this.#sweep(roomId, people);
    const servers = isInside || known.length > 0 ? await conferring(roomId) : [];
    const of = (wanted: Standing): string[] =>
      isInside ? [] : known.filter(({ standing }) => standing === wanted).map(({ one }) => one.user_id);
    return { told: isTold(roomId), servers, admitted: of('free'), refused: of('refused') };
  }

  async #limit(origin: string): Promise<void> {
    try {
      await this.#rate.consume(origin);
    } catch {
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many lists of who waits.', { retry_after_ms: 1_000 });
    }
  }

  /** How somebody stands to the room, whatever their instance says. */
  async #standing(roomId: string, { user_id: userId, guest }: Told, isInside: boolean): Promise<Standing> {
    const { rooms, entry } = this.#deps;
    const [membership, admission] = await Promise.all([
      rooms.membership(roomId, userId),
      entry.admission(roomId, userId),
    ]);
    if (membership === 'ban' || admission?.refused === true) return 'refused';
    const isKnown =
      membership === 'join' || membership === 'invite' || membership === 'knock' || admission?.admitted === false;
    if (!isKnown) return guest && isInside ? 'waits' : 'stranger';
    if (isInside || membership !== 'invite') return 'waits';
    return (await entry.reason(roomId, { userId, guest })) === undefined ? 'free' : 'waits';
  }

  #put(roomId: string, kept: Kept): void {
    const ofRoom = this.#lists.get(roomId) ?? new Map<string, Kept>();
    const isNew = !ofRoom.has(kept.server);
    if (kept.count === 0) {
      if (!isNew) this.#remove(roomId, kept.server);
      return;
    }
    if (isNew && this.#count >= WAITING_LISTS) return;
    this.#lists.set(roomId, ofRoom.set(kept.server, kept));
    if (isNew) this.#count += 1;
    this.#deps.clock.after(KEPT_MS, () => {
      if (this.#lists.get(roomId)?.get(kept.server) !== kept) return;
      this.#remove(roomId, kept.server);
      this.#deps.changed(roomId);
    });
  }

  #remove(roomId: string, server: string): void {
    const ofRoom = this.#lists.get(roomId);
    if (ofRoom?.delete(server)) this.#count -= 1;
    if (ofRoom?.size === 0) this.#lists.delete(roomId);
  }

  /** The newest list of each instance. */
  of(roomId: string): WaitingOf[] {
    return [...(this.#lists.get(roomId)?.values() ?? [])];
  }

  /** Everybody was admitted: so is whoever has waited since before and is named from now on. */
  admitLater(roomId: string, admit: (userIds: readonly string[]) => void): void {
    const { clock } = this.#deps;
    if (this.of(roomId).every(({ people, count }) => people.length >= count)) return;
    const sweep = { before: clock.now(), until: clock.monotonic() + LATER_MS, admit };
    this.#sweeps.set(roomId, sweep);
    clock.after(LATER_MS, () => {
      if (this.#sweeps.get(roomId) === sweep) this.#sweeps.delete(roomId);
    });
  }

  #sweep(roomId: string, people: WaitingOf['people']): void {
    const sweep = this.#sweeps.get(roomId);
    if (!sweep || sweep.until <= this.#deps.clock.monotonic()) return;
    const before = people.filter(({ since }) => since <= sweep.before).map(({ userId }) => userId);
    if (before.length > 0) sweep.admit(before);
  }
}

type Standing = 'waits' | 'free' | 'refused' | 'stranger';

function shown({ user_id: userId, display_name: name, guest, since_ts: since }: Told): WaitingOf['people'][number] {
  return { userId, displayName: displayName(name) ?? localpartOf(userId), guest, since };
}

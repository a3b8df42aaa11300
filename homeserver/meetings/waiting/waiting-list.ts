/**
 * Who waits in each meeting, as the clients of its moderators here are shown it: the people of this instance, those whom
 * others name, and who knocks. Put together anew a moment after something has changed, and only where a moderator looks.
 */
import { isDeepStrictEqual } from 'node:util';
import { serverOf } from '../../../federation/event.ts';
import type { WaitingKind, WaitingList, WaitingPerson } from '../../../protocol/modules/waiting.ts';
import { MAX_TIME } from '../../../protocol/values.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { WAITING_SHOWN, WAITING_TOLD } from '../../base/limits.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { ModuleConference } from '../conference/module-ports.ts';
import type { LocalParticipant } from '../conference/local-participant.ts';
import { nameIn } from '../people.ts';

/** The shortest time between two lists of a room, in ms. */
const GAP_MS = 500;

/** Those of one instance who wait. */
export interface WaitingOf {
  readonly server: string;
  /** Those who have waited longest. */
  readonly people: readonly Omit<WaitingPerson, 'kind' | 'organisation'>[];
  /** How many there are. */
  readonly count: number;
}

export interface WaitingListsDeps {
  readonly rooms: Pick<Rooms, 'stateOfType' | 'stateEvent'>;
  readonly clock: Clock;
  conference(roomId: string): ModuleConference | undefined;
  /** Whoever waits by a session: of this instance, and of each other one that has said so. */
  waiting(roomId: string): WaitingOf[];
  /** A moderator was told of somebody, or of nobody any more. */
  shown(roomId: string): void;
  failed(error: unknown): void;
}

interface Shown {
  list: WaitingList;
  /** Cancels what is due. */
  next: Cancel | undefined;
  readAt: number;
  /** Something has changed while it was read. */
  again: boolean;
  reading: boolean;
}

const NOBODY: WaitingList = { people: [], count: 0 };

export class WaitingLists {
  readonly #deps: WaitingListsDeps;
  readonly #shown = new Map<string, Shown>();
  readonly #told = new WeakMap<LocalParticipant, WaitingList>();
  #closed = false;

  constructor(deps: WaitingListsDeps) {
    this.#deps = deps;
  }

  /** As it was shown last. */
  of(roomId: string): WaitingList {
    return this.#shown.get(roomId)?.list ?? NOBODY;
  }

  /** Whether the client of a moderator here is told who waits. */
  isTold(roomId: string): boolean {
    return this.#moderators(roomId).some((local) => local.notifier?.attached === true);
  }

  /** Who waits, or who may admit, is not as it was. */
  changed(roomId: string): void {
    if (this.#closed) return;
    if (this.#moderators(roomId).length === 0) {
      this.#shown.get(roomId)?.next?.();
      this.#shown.delete(roomId);
      return;
    }
    const shown = this.#shown.get(roomId) ?? {
      list: NOBODY,
      next: undefined,
      readAt: -Infinity,
      again: false,
      reading: false,
    };
    this.#shown.set(roomId, shown);
    if (shown.reading) shown.again = true;
    else this.#readSoon(roomId, shown);
  }

  #readSoon(roomId: string, shown: Shown): void {
    const { clock, failed } = this.#deps;
    shown.next ??= clock.after(Math.max(0, shown.readAt + GAP_MS - clock.monotonic()), () => {
      shown.next = undefined;
      this.#read(roomId, shown).catch(failed);
    });
  }

  async #read(roomId: string, shown: Shown): Promise<void> {
    shown.readAt = this.#deps.clock.monotonic();
    shown.reading = true;
    try {
      const list = await this.#compose(roomId);
      if (this.#shown.get(roomId) !== shown) return;
      shown.list = list;
    } finally {
      shown.reading = false;
    }
    for (const local of this.#moderators(roomId)) {
      if (isDeepStrictEqual(this.#told.get(local) ?? NOBODY, shown.list)) continue;
      this.#told.set(local, shown.list);
      local.notifier?.notify('waiting.list', shown.list);
    }
    this.#deps.shown(roomId);
    if (!shown.again) return;
    shown.again = false;
    this.changed(roomId);
  }

  /** Who somebody is stands in the room, where the room knows them; what an instance says of a guest is all there is. */
  async #compose(roomId: string): Promise<WaitingList> {
    const { rooms, clock, waiting } = this.#deps;
    const latest = Math.min(clock.now(), MAX_TIME);
    const people = new Map<string, WaitingPerson>();
    let count = 0;
    for (const { server, people: some, count: all } of waiting(roomId)) {
      let left = 0;
      for (const one of some) {
        const member = (await rooms.stateEvent(roomId, 'm.room.member', one.userId))?.pdu;
        const kind = kindOf(member?.content['membership'], one.guest);
        if (!kind) left += 1;
        else {
          const displayName =
            member?.content['displayname'] === undefined ? one.displayName : nameIn(member, one.userId);
          people.set(one.userId, {
            ...one,
            displayName,
            organisation: server,
            kind,
            since: Math.min(one.since, latest),
          });
        }
      }
      count += all - left;
    }
    const knocks = await rooms.stateOfType(roomId, 'm.room.member', (userId) => !people.has(userId));
    for (const { pdu } of knocks) {
      const { state_key: userId } = pdu;
      if (pdu.content['membership'] !== 'knock' || userId === undefined || pdu.sender !== userId) continue;
      count += 1;
      people.set(userId, {
        userId,
        displayName: nameIn(pdu, userId),
        organisation: serverOf(userId),
        guest: false,
        kind: 'knock',
        since: Math.max(0, Math.min(pdu.origin_server_ts, latest)),
      });
    }
    return { people: bounded([...people.values()]), count: Math.max(count, 0) };
  }

  #moderators(roomId: string): LocalParticipant[] {
    const locals = this.#deps.conference(roomId)?.locals.values() ?? [];
    return [...locals].filter(({ rights }) => rights.includes('admit'));
  }

  close(): void {
    this.#closed = true;
    for (const { next } of this.#shown.values()) next?.();
  }
}

/** How somebody who waits stands to the room; undefined for who may not wait for it. */
function kindOf(membership: unknown, guest: boolean): WaitingKind | undefined {
  if (membership === 'join') return 'member';
  if (membership === 'invite') return 'invited';
  if (membership === 'knock') return 'knock';
  if (membership === 'ban') return undefined;
  // Who was sent back is out of the room.
  return guest ? 'guest' : 'member';
}

/** Those who have waited longest: so many of each organisation, and so many altogether. */
function bounded(people: WaitingPerson[]): WaitingPerson[] {
  const counts = new Map<string, number>();
  return people
    .toSorted((a, b) => a.since - b.since || (a.userId < b.userId ? -1 : 1))
    .filter(({ organisation }) => {
      const count = (counts.get(organisation) ?? 0) + 1;
      counts.set(organisation, count);
      return count <= WAITING_TOLD;
    })
    .slice(0, WAITING_SHOWN);
}

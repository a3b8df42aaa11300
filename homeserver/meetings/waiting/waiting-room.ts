/**
 * The people of this instance who wait for a place in a conference, with their sessions. What becomes of each is decided in
 * a turn of its own, by the room as it is then; whoever stops waiting is gone at once and is let in by nothing that was
 * under way.
 */
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import type { NotificationData, Result } from '../../../protocol/session.ts';
import type { WaitingReason } from '../../../protocol/waiting.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { MatrixError } from '../../base/errors.ts';
import { unexpected } from '../../base/log.ts';
import { ADMISSION, MEETING } from '../../base/names.ts';
import { Serial } from '../../base/serial.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { ADMISSION_RULES } from '../conference/admission.ts';
import { LOCK, WAITING } from '../conference/entry-rule.ts';
import { titleIn } from '../conference/room-facts.ts';
import { SeatError } from '../conference/seat-turns.ts';
import type { Joiner } from '../conference/seats.ts';
import type { Notifier } from '../conference/notification.ts';
import type { WaitingRecords } from './records.ts';
import { type Verdict, type VerdictDeps, verdictOn } from './verdict.ts';

/** Forks can change a room without an event that tells it; what failed is tried again. In ms. */
const REVIEW_MS = 30_000;
/** People of one room who are let in at the same time. */
const AT_ONCE = 8;
/** Rounds of one decision: more than one because the room may change while somebody comes in. */
const MAX_ROUNDS = 4;

/** What may change what becomes of everybody who waits. */
const RULES: ReadonlySet<string> = new Set([
  ...ADMISSION_RULES,
  WAITING,
  LOCK,
  'm.room.power_levels',
  'm.room.redaction',
]);

/** Somebody who waits, with one client or several. */
export interface WaitingHere {
  readonly roomId: string;
  readonly userId: string;
  readonly guest: boolean;
  readonly displayName: string;
  /** Unix ms. */
  readonly since: number;
  readonly position: number;
  readonly holders: Set<Notifier>;
  reason: WaitingReason;
  /** As last told. */
  told: boolean;
  freed: boolean;
}

export interface WaitingRoomDeps extends VerdictDeps {
  readonly rooms: VerdictDeps['rooms'] &
    Pick<Rooms, 'join' | 'whole'> & { readonly memberships: Pick<Rooms['memberships'], 'admit'> };
  readonly records: Pick<WaitingRecords, 'put' | 'find' | 'accepted' | 'stopped' | 'remove'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The name of an account, safe to show. */
  nameOf(userId: string): Promise<string>;
  /** Whether a moderator of whichever organisation was told who waits. */
  isTold(roomId: string): boolean;
  /** Who waits in a room, or why, is not as it was. */
  changed(roomId: string): void;
}

export class WaitingRoom {
  readonly #deps: WaitingRoomDeps;
  readonly #people = new Map<string, Map<string, WaitingHere>>();
  readonly #byHolder = new Map<Notifier, WaitingHere>();
  readonly #turns = new Serial();
  readonly #failed: (error: unknown) => void;
  #next: Cancel = () => undefined;
  #closed = false;

  constructor(deps: WaitingRoomDeps) {
    this.#deps = deps;
    this.#failed = unexpected(deps.log, 'what becomes of somebody who waits was not decided');
    this.#reviewLater();
  }

  /** Who waits in a room, those who have waited longest first. */
  of(roomId: string): WaitingHere[] {
    return [...(this.#people.get(roomId)?.values() ?? [])].toSorted((a, b) => a.since - b.since);
  }

  /** Rooms in which somebody waits. */
  rooms(): string[] {
    return [...this.#people.keys()];
  }

  /** Whether a session waits for something. */
  has(holder: Notifier): boolean {
    return this.#byHolder.has(holder);
  }

  /**
   * Has a session wait. Who may have a place already is told so at once.
   *
   * @throws MatrixError 403 for who was refused, 404 for who has nothing to wait for
   */
  async wait(roomId: string, { userId, guest, holder }: Joiner): Promise<Result<'conference.wait'>> {
    const { records, clock, nameOf, isTold } = this.#deps;
    return this.#turns.run(keyOf(roomId, userId), async () => {
      const record = {
        roomId,
        userId,
        since: clock.now(),
        accepted: false,
        position: await this.#position(roomId, userId),
      };
      const before = this.#person(roomId, userId);
      const kept = before ?? (await records.find(roomId, userId)) ?? record;
      const verdict = await this.#verdict(roomId, {
        userId,
        guest,
        position: kept.position,
        freed: before?.freed ?? false,
      });
      if (verdict.kind === 'over') throw refusal(verdict.outcome);
      const [title, displayName] = await Promise.all([this.#title(roomId, userId), nameOf(userId)]);
      await records.put({ ...record, ...kept, accepted: false });
      if (holder.ended) throw new SeatError('not-in-conference', 'The session has ended.');
      const other = this.#byHolder.get(holder);
      if (other && (other.roomId !== roomId || other.userId !== userId)) this.stop(holder);
      const reason = verdict.kind === 'waits' ? verdict.reason : 'waiting-room';
      const known = this.#person(roomId, userId);
      const told = isTold(roomId);
      const person: WaitingHere = known ?? {
        roomId,
        userId,
        guest,
        displayName,
        since: kept.since,
        position: kept.position,
        holders: new Set(),
        reason,
        told,
        freed: false,
      };
      if (!known) this.#add(person);
      person.holders.add(holder);
      this.#byHolder.set(holder, person);
      this.#deps.changed(roomId);
      if (verdict.kind === 'enters') this.review(roomId, userId);
      return { title, reason: person.reason, told: person.told };
    });
  }

  /** A session waits no more: at its own wish, or because it ended. */
  stop(holder: Notifier): void {
    const person = this.#byHolder.get(holder);
    if (!person) return;
    this.#byHolder.delete(holder);
    person.holders.delete(holder);
    if (person.holders.size > 0) return;
    const { roomId, userId } = person;
    this.#delete(person);
    this.#deps.changed(roomId);
    this.#turns
      .run(keyOf(roomId, userId), async () => {
        if (!this.#person(roomId, userId)) await this.#deps.records.stopped(roomId, userId);
      })
      .catch(this.#failed);
  }

  /**
   * Somebody has accepted an invitation, or knocked: they join when they are admitted.
   *
   * @param position stream position of the invitation or knock, where it came from outside
   */
  async accept(roomId: string, userId: string): Promise<void> {
    const { records, clock } = this.#deps;
    const position = await this.#position(roomId, userId);
    await records.put({ roomId, userId, since: clock.now(), accepted: true, position });
    this.review(roomId, userId);
  }

  /** Outside of a room: an instance in it says that these may come. */
  free(roomId: string, userIds: readonly string[]): void {
    for (const userId of userIds) {
      const person = this.#person(roomId, userId);
      if (!person || person.freed) continue;
      person.freed = true;
      this.review(roomId, userId);
    }
  }

  /** Outside of a room: an instance in it says that these were refused. */
  refused(roomId: string, userIds: readonly string[]): void {
    for (const userId of userIds) {
      this.#turns
        .run(keyOf(roomId, userId), async () => {
          const isInside = (await this.#deps.rooms.joinedServers(roomId)).has(this.#deps.serverName);
          if (!isInside && this.#person(roomId, userId)) await this.#end(roomId, userId, 'refused');
        })
        .catch(this.#failed);
    }
  }

  /** Whether moderators were told may be another thing now. */
  toldChanged(roomId: string): void {
    const told = this.#deps.isTold(roomId);
    for (const person of this.of(roomId)) {
      if (person.told === told) continue;
      person.told = told;
      tell(person, 'waiting.changed', { reason: person.reason, told });
    }
  }

  onEvent({ roomId, pdu, position }: StoredEvent): void {
    const { type, state_key: key } = pdu;
    if (key !== undefined && type === 'm.room.member') this.#onMember(roomId, key, pdu.content['membership'], position);
    else if (key !== undefined && type === ADMISSION) this.#reviewOwn(roomId, key.slice(1));
    else if (RULES.has(type)) this.reviewAll(roomId).catch(this.#failed);
  }

  #onMember(roomId: string, userId: string, membership: unknown, position: number): void {
    const { serverName, records } = this.#deps;
    if (serverOf(userId) !== serverName) return;
    if (membership === 'knock') this.#onKnock(roomId, userId, position).catch(this.#failed);
    else if (membership === 'invite' || this.#person(roomId, userId)) this.#reviewOwn(roomId, userId);
    else records.remove(roomId, userId).catch(this.#failed);
  }

  /** Who has asked to be let in comes in when that is granted. */
  async #onKnock(roomId: string, userId: string, position: number): Promise<void> {
    const { rooms, records, clock } = this.#deps;
    const elsewhere = await rooms.invitation(roomId, userId);
    const isMeeting =
      elsewhere?.state.some(({ type }) => type === MEETING) ?? (await rooms.stateEvent(roomId, MEETING, ''));
    if (isMeeting) await records.put({ roomId, userId, since: clock.now(), accepted: true, position });
  }

  #reviewOwn(roomId: string, userId: string): void {
    if (serverOf(userId) === this.#deps.serverName) this.review(roomId, userId);
  }

  /** Decides anew what becomes of everybody who waits in a room. */
  async reviewAll(roomId: string): Promise<void> {
    const accepted = await this.#deps.records.accepted(roomId);
    const ids = [...new Set([...this.of(roomId), ...accepted].map(({ userId }) => userId))];
    const next = async (): Promise<void> => {
      for (let userId = ids.shift(); userId !== undefined && !this.#closed; userId = ids.shift()) {
        await this.#review(roomId, userId).catch(this.#failed);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }

  /** Decides anew what becomes of somebody. */
  review(roomId: string, userId: string): void {
    this.#review(roomId, userId).catch(this.#failed);
  }

  #review(roomId: string, userId: string): Promise<void> {
    return this.#turns.run(keyOf(roomId, userId), async () => {
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const person = this.#person(roomId, userId);
        const record = person ?? (await this.#deps.records.find(roomId, userId));
        if (!record || !(person || ('accepted' in record && record.accepted))) return;
        const asker = {
          userId,
          guest: person?.guest ?? false,
          position: record.position,
          freed: person?.freed ?? false,
        };
        const verdict = await this.#verdict(roomId, asker);
        // Who has stopped waiting, or begun again, is looked at anew.
        if (this.#person(roomId, userId) !== person || this.#closed) continue;
        if (verdict.kind === 'waits') {
          if (person) this.#setReason(person, verdict.reason);
          return;
        }
        if (verdict.kind === 'over' || verdict.way === 'is-in') {
          await this.#end(roomId, userId, verdict.kind === 'over' ? verdict.outcome : 'admitted');
          return;
        }
        if (!(await this.#comeIn(roomId, userId, verdict.way))) return;
      }
    });
  }

  /** @returns false when somebody cannot come into the room now */
  async #comeIn(roomId: string, userId: string, way: 'accept' | { readonly by: string }): Promise<boolean> {
    const { rooms, log } = this.#deps;
    try {
      if (way === 'accept') {
        await rooms.join(userId, roomId);
        await rooms.whole(roomId);
      } else await rooms.memberships.admit(roomId, way.by, userId);
      return true;
    } catch (error) {
      // Something is not so any more: the event that says it has us look again.
      log.info({ err: error, roomId }, 'somebody who waits could not come into the meeting');
      return false;
    }
  }

  async #end(roomId: string, userId: string, outcome: NotificationData<'waiting.ended'>['outcome']): Promise<void> {
    const person = this.#person(roomId, userId);
    if (person) {
      this.#delete(person);
      for (const holder of person.holders) this.#byHolder.delete(holder);
      tell(person, 'waiting.ended', { outcome });
      this.#deps.changed(roomId);
    }
    await this.#deps.records.remove(roomId, userId);
  }

  #setReason(person: WaitingHere, reason: WaitingReason): void {
    if (person.reason === reason) return;
    person.reason = reason;
    tell(person, 'waiting.changed', { reason, told: person.told });
    this.#deps.changed(person.roomId);
  }

  #verdict(roomId: string, asker: Parameters<typeof verdictOn>[2]): Promise<Verdict> {
    return verdictOn(this.#deps, roomId, asker);
  }

  /** Position of what stands outside of the room for somebody: whatever comes later is news. */
  async #position(roomId: string, userId: string): Promise<number> {
    return (await this.#deps.rooms.invitation(roomId, userId))?.position ?? 0;
  }

  async #title(roomId: string, userId: string): Promise<string> {
    const { rooms } = this.#deps;
    const elsewhere = await rooms.invitation(roomId, userId);
    const pdu = elsewhere?.state.find(({ type, state_key: key }) => type === 'm.room.name' && key === '');
    return titleIn(pdu ? { pdu } : await rooms.stateEvent(roomId, 'm.room.name', ''));
  }

  #person(roomId: string, userId: string): WaitingHere | undefined {
    return this.#people.get(roomId)?.get(userId);
  }

  #add(person: WaitingHere): void {
    const ofRoom = this.#people.get(person.roomId) ?? new Map<string, WaitingHere>();
    this.#people.set(person.roomId, ofRoom);
    ofRoom.set(person.userId, person);
  }

  #delete({ roomId, userId }: WaitingHere): void {
    const ofRoom = this.#people.get(roomId);
    ofRoom?.delete(userId);
    if (ofRoom?.size === 0) this.#people.delete(roomId);
  }

  #reviewLater(): void {
    this.#next = this.#deps.clock.after(REVIEW_MS, () => {
      Promise.all(this.rooms().map((roomId) => this.reviewAll(roomId)))
        .catch(this.#failed)
        .finally(() => {
          if (!this.#closed) this.#reviewLater();
        });
    });
  }

  /** Who waits is kept: a restart finds them in their places when their clients come back. */
  close(): void {
    this.#closed = true;
    this.#next();
  }
}

function tell<N extends 'waiting.changed' | 'waiting.ended'>(
  { holders }: WaitingHere,
  name: N,
  data: NotificationData<N>,
): void {
  for (const holder of holders) holder.notify(name, data);
}

function refusal(outcome: 'refused' | 'ended'): MatrixError {
  if (outcome === 'refused') return new MatrixError(403, 'M_FORBIDDEN', 'You were not admitted to this meeting.');
  return new MatrixError(404, 'M_NOT_FOUND', 'There is no such meeting, or it is over for you.');
}

function keyOf(roomId: string, userId: string): string {
  return `${roomId} ${userId}`;
}

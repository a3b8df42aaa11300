/**
 * Who has to wait before they may take a place in the conference. It concerns new places only: who has one keeps it when
 * the rule changes, unless a moderator sends them back. All of it is state of the room, so that every instance judges
 * alike; docs/federation.md has the events.
 */
import * as z from 'zod';
import type { JsonObject } from '../../../federation/json.ts';
import type { WaitingReason } from '../../../protocol/waiting.ts';
import { ADMISSION, SETTING } from '../../base/names.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { MODERATOR_LEVEL } from '../rights.ts';
import { SeatError } from './seat-turns.ts';

/** The settings that may make somebody wait. */
export const LOCK = `${SETTING}lock`;
export const WAITING = `${SETTING}waiting`;

/** Content of `org.hansetag.admission`. */
const admissionSchema = z.object({
  admitted: z.boolean(),
  /** With `admitted: false`: may not even wait. Absent, was sent back to wait. */
  refused: z.boolean().optional().catch(undefined),
  /** With `admitted: true`: the event id of the lock in spite of which it holds. */
  lock: z.string().max(255).optional().catch(undefined),
});

/** What moderators have said of one person. */
export interface Admission extends z.infer<typeof admissionSchema> {
  /** User id of the moderator. */
  readonly by: string;
  /** Stream position. */
  readonly position: number;
}

export interface EntryRuleDeps {
  readonly serverName: string;
  readonly rooms: Pick<Rooms, 'stateEvent' | 'joinedServers' | 'invitation' | 'authority'>;
  /** By which link somebody of ours came to a meeting, if by one. */
  cameBy(roomId: string, userId: string): Promise<{ readonly mode: 'direct' | 'waiting' } | undefined>;
}

/** Whose place it is. */
interface Entrant {
  readonly userId: string;
  readonly guest: boolean;
}

export class EntryRule {
  readonly #deps: EntryRuleDeps;

  constructor(deps: EntryRuleDeps) {
    this.#deps = deps;
  }

  /** Why somebody has to wait now; undefined for who may take a place as far as this is concerned. */
  async reason(roomId: string, { userId, guest }: Entrant): Promise<WaitingReason | undefined> {
    const { rooms, serverName } = this.#deps;
    if (!(await rooms.joinedServers(roomId)).has(serverName)) return this.#reasonOutside(roomId, userId);
    if ((await rooms.authority(roomId, userId)).level >= MODERATOR_LEVEL) return undefined;
    const [admission, lock, waiting] = await Promise.all([
      this.admission(roomId, userId),
      rooms.stateEvent(roomId, LOCK, ''),
      rooms.stateEvent(roomId, WAITING, ''),
    ]);
    if (isLocked(lock) && admission?.lock !== lock.eventId) return 'locked';
    if (admission) return admission.admitted ? undefined : 'waiting-room';
    const rule = waitsFor(waiting?.pdu.content);
    if (rule === 'everybody' || (rule === 'guests' && guest)) return 'waiting-room';
    // A link can have those wait who come by it, whatever the meeting says.
    const link = guest ? await this.#deps.cameBy(roomId, userId) : undefined;
    return link?.mode === 'waiting' ? 'waiting-room' : undefined;
  }

  /** @throws SeatError `must-wait` */
  async require(roomId: string, entrant: Entrant): Promise<void> {
    const reason = await this.reason(roomId, entrant);
    if (reason) throw new SeatError('must-wait', SENTENCES[reason]);
  }

  /** What moderators have said of somebody last. */
  async admission(roomId: string, userId: string): Promise<Admission | undefined> {
    const event = await this.#deps.rooms.stateEvent(roomId, ADMISSION, `_${userId}`);
    const read = admissionSchema.safeParse(event?.pdu.content);
    return event && read.success ? { ...read.data, by: event.pdu.sender, position: event.position } : undefined;
  }

  /** Whether a moderator has taken somebody's place away, or never gave one. */
  async isSentBack(roomId: string, userId: string): Promise<boolean> {
    return (await this.admission(roomId, userId))?.admitted === false;
  }

  /** The event of the lock, while the meeting is locked. */
  async lock(roomId: string): Promise<string | undefined> {
    const lock = await this.#deps.rooms.stateEvent(roomId, LOCK, '');
    return isLocked(lock) ? lock.eventId : undefined;
  }

  /** Whether an event was in the room before everything that would have its sender wait. */
  async isBefore(roomId: string, event: StoredEvent): Promise<boolean> {
    const { rooms } = this.#deps;
    const rules = await Promise.all([rooms.stateEvent(roomId, LOCK, ''), rooms.stateEvent(roomId, WAITING, '')]);
    // Of what was there when we came in, the order of arrival says nothing.
    return rules.every((rule) => !rule || event.position < rule.position || event.pdu.depth < rule.pdu.depth);
  }

  /** What an invitation tells of a room that this instance is not in: as it was when the invitation was sent. */
  async #reasonOutside(roomId: string, userId: string): Promise<WaitingReason | undefined> {
    const invitation = await this.#deps.rooms.invitation(roomId, userId);
    if (invitation?.membership !== 'invite') return undefined;
    const waiting = invitation.state.find(({ type, state_key: key }) => type === WAITING && key === '');
    return waitsFor(waiting?.content) === 'everybody' ? 'waiting-room' : undefined;
  }
}

const SENTENCES: Readonly<Record<WaitingReason, string>> = {
  'waiting-room': 'A moderator has to admit you first.',
  locked: 'This meeting is locked.',
  full: 'There is no room in this meeting now.',
};

function isLocked(event: StoredEvent | undefined): event is StoredEvent {
  return event?.pdu.content['locked'] === true;
}

/** For whom a meeting has a waiting room, by the content of its setting. */
function waitsFor(content: JsonObject | undefined): 'nobody' | 'guests' | 'everybody' {
  const value = content?.['for'];
  return value === 'guests' || value === 'everybody' ? value : 'nobody';
}

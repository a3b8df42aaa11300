/**
 * The rule of the chat: who may write. What our own people send is refused, whichever client they use; what comes from
 * other organisations is not shown.
 */
import { stateKey } from '../../../federation/auth-rules.ts';
import { powerLevelOf } from '../../../federation/power-levels.ts';
import { MatrixError } from '../../base/errors.ts';
import { SETTING } from '../../base/names.ts';
import type { Rooms, SendRule, StoredEvent } from '../../engine/rooms/rooms.ts';
import { MODERATOR_LEVEL } from '../rights.ts';
import type { MeetingRules } from './meeting-rules.ts';
import { readRule } from './reading.ts';

/** Events by which a Matrix client writes into a room. To take back what one has written is always possible. */
const CHAT_EVENTS: ReadonlySet<string> = new Set([
  'm.room.message',
  'm.room.encrypted',
  'm.sticker',
  'm.reaction',
  'm.poll.start',
  'org.matrix.msc3381.poll.start',
]);
const TYPE = `${SETTING}chat`;

export interface ChatRuleDeps {
  readonly rooms: Pick<Rooms, 'stateEvent' | 'event' | 'version' | 'history'>;
  readonly rules: Pick<MeetingRules, 'allows'>;
}

export class ChatRule {
  readonly #deps: ChatRuleDeps;

  constructor(deps: ChatRuleDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError 403 when the rules of the meeting do not let somebody write */
  async check(roomId: string, sender: string, { type, stateKey: key }: Parameters<SendRule>[2]): Promise<void> {
    if (key !== undefined || !CHAT_EVENTS.has(type)) return;
    if (await this.#deps.rules.allows(roomId, sender, 'chat')) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'The rules of this meeting do not let you write in the chat.');
  }

  /**
   * Whether what somebody wrote is shown: by the state in which it was written. One that was written beside the rule that
   * holds now, and came after it, is judged by that rule as well: a server may not step behind a rule.
   */
  async shows(event: StoredEvent): Promise<boolean> {
    const { rooms, rules } = this.#deps;
    const { roomId, pdu } = event;
    const [now, state] = await Promise.all([rooms.stateEvent(roomId, TYPE, ''), rooms.history.stateAfter(event)]);
    const thenId = state?.get(stateKey(TYPE, ''));
    const then = thenId === undefined ? undefined : await rooms.event(thenId);
    const { restricted, allow } = readRule('chat', then?.pdu.content);
    if (restricted && !allow.includes(pdu.sender) && !(await this.#ledThen(event, state ?? new Map()))) return false;
    if (!now || now.eventId === thenId || event.position < now.position) return true;
    return rules.allows(roomId, pdu.sender, 'chat');
  }

  /** Whether the sender was an owner or a moderator when the event was sent. */
  async #ledThen({ roomId, pdu }: StoredEvent, state: ReadonlyMap<string, string>): Promise<boolean> {
    const { rooms } = this.#deps;
    const id = state.get(stateKey('m.room.power_levels', ''));
    const [version, create, levels] = await Promise.all([
      rooms.version(roomId),
      rooms.stateEvent(roomId, 'm.room.create', ''),
      id === undefined ? undefined : rooms.event(id),
    ]);
    if (!version || !create) return false;
    const get = (type: string): StoredEvent['pdu'] | undefined =>
      type === 'm.room.power_levels' ? levels?.pdu : undefined;
    return powerLevelOf(pdu.sender, version, { get, create: create.pdu }) >= MODERATOR_LEVEL;
  }
}

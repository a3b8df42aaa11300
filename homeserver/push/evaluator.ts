/** Looks at every new event for the users of this server who are in its room. */
import type { Logger } from 'pino';
import { serverOf } from '../../federation/event.ts';
import { redactsOf } from '../../federation/event.ts';
import { isJsonObject, member } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { relationOf } from '../relations/index-relation.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { evaluate } from './evaluate.ts';
import type { PushSubject } from './evaluate.ts';
import type { Notice, Notifications } from './notifications.ts';
import type { PushRules } from './rules.ts';

export interface EvaluatorOptions {
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly rules: PushRules;
  readonly notifications: Notifications;
  readonly ignored: (userId: string) => Promise<ReadonlySet<string>>;
  /** Told of users who have something new. */
  readonly onNotices: (userIds: readonly string[]) => void;
  readonly log: Logger;
}

/** How far to follow relations from an event to its thread. */
const MAX_STEPS = 3;
const DEFAULT_NOTIFY_LEVEL = 50;

export class Evaluator {
  readonly #options: EvaluatorOptions;
  readonly #pending = new Set<Promise<void>>();
  readonly #unsubscribe: () => void;

  constructor(options: EvaluatorOptions) {
    this.#options = options;
    this.#unsubscribe = options.rooms.onEvent((event, { live }) => {
      if (!live) return;
      const work = this.#take(event).catch((error: unknown) => {
        options.log.warn({ err: error, roomId: event.roomId }, 'an event was not looked at for notifications');
      });
      this.#pending.add(work);
      void work.finally(() => this.#pending.delete(work));
    });
  }

  /** Resolves when every event that was told of until now was looked at. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.settled();
  }

  async #take(event: StoredEvent): Promise<void> {
    const { rooms, notifications, serverName, onNotices } = this.#options;
    const { pdu, roomId } = event;
    const { sender } = pdu;
    if (pdu.type === 'm.room.redaction') await this.#takeBack(event);
    const threadId = await this.#threadOf(event);
    // Who says something has read what stands before it.
    if (serverOf(sender) === serverName && !event.outlier) {
      const all = pdu.state_key !== undefined;
      await notifications.read(sender, roomId, all ? undefined : threadId, event.position);
    }
    const users = event.outlier ? [] : await rooms.joinedLocalUsers(roomId);
    const target = pdu.type === 'm.room.member' ? pdu.state_key : undefined;
    if (target !== undefined && serverOf(target) === serverName && !users.includes(target)) users.push(target);
    const shared = this.#shared(event);
    const notices: Notice[] = [];
    for (const userId of users) {
      if (userId === sender) continue;
      const actions = await this.#actions(event, userId, shared);
      if (actions?.includes('notify') !== true) continue;
      notices.push({
        userId,
        roomId,
        eventId: event.eventId,
        position: event.position,
        threadId,
        highlight: actions.some((action) => isJsonObject(action) && isHighlight(action)),
        actions,
        at: Date.now(),
      });
    }
    await notifications.add(notices);
    if (notices.length > 0) onNotices(notices.map((notice) => notice.userId));
  }

  async #actions(
    event: StoredEvent,
    userId: string,
    shared: Omit<PushSubject, 'displayName'>,
  ): ReturnType<typeof evaluate> {
    const { rooms, rules, ignored } = this.#options;
    if ((await ignored(userId)).has(event.pdu.sender)) return undefined;
    return evaluate(await rules.of(userId), {
      ...shared,
      displayName: async () => {
        const own = await rooms.stateEvent(event.roomId, 'm.room.member', userId);
        const name = member(own?.pdu.content, 'displayname');
        return typeof name === 'string' ? name : undefined;
      },
    });
  }

  /** What is the same for all who get the event; found out when a rule asks for it first. */
  #shared(event: StoredEvent): Omit<PushSubject, 'displayName'> {
    const { rooms } = this.#options;
    const { pdu, roomId } = event;
    let members: Promise<number> | undefined;
    let levels: Promise<{ own: number; content: JsonObject | undefined }> | undefined;
    const readLevels = async (): Promise<{ own: number; content: JsonObject | undefined }> => ({
      own: await rooms.powerLevel(roomId, pdu.sender),
      content: (await rooms.stateEvent(roomId, 'm.room.power_levels', ''))?.pdu.content,
    });
    return {
      event: { ...pdu, room_id: roomId },
      roomId,
      sender: pdu.sender,
      memberCount: () => (members ??= rooms.joinedUsers(roomId).then((users) => users.length)),
      mayNotify: async (key) => {
        const { own, content } = await (levels ??= readLevels());
        const notifications = member(content, 'notifications');
        const wanted = isJsonObject(notifications) ? member(notifications, key) : undefined;
        return own >= (typeof wanted === 'number' ? wanted : DEFAULT_NOTIFY_LEVEL);
      },
    };
  }

  /** @see Matrix specification, client-server API, "Threading", "Notifications" */
  async #threadOf(event: StoredEvent): Promise<string> {
    let pdu = event.pdu;
    for (let step = 0; step < MAX_STEPS; step++) {
      const relation = relationOf(pdu);
      if (!relation) return 'main';
      if (relation.type === 'm.thread') return relation.parentId;
      const parent = await this.#options.rooms.event(relation.parentId);
      if (parent?.roomId !== event.roomId) return 'main';
      pdu = parent.pdu;
    }
    return 'main';
  }

  async #takeBack(event: StoredEvent): Promise<void> {
    const { rooms, notifications } = this.#options;
    const version = await rooms.version(event.roomId);
    const targetId = version && redactsOf(event.pdu, version);
    const target = targetId === undefined ? undefined : await rooms.event(targetId);
    if (target?.redactedBy !== undefined) await notifications.remove(target.eventId);
  }
}

function isHighlight(action: JsonObject): boolean {
  return member(action, 'set_tweak') === 'highlight' && member(action, 'value') !== false;
}

/** Evaluates push rules for every new event and the local users in its room. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { InviteRule } from '../../engine/rooms/ports.ts';
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { relationOf } from '../../engine/rooms/relation-of.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { isServerAccount } from '../../accounts/localpart.ts';
import { evaluate } from './evaluate.ts';
import type { Outcome, PushSubject } from './evaluate.ts';
import type { Notice, Notifications, ReadTo } from './notifications.ts';
import type { PushRules } from './rules.ts';

export interface EvaluatorOptions {
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly rules: PushRules;
  readonly notifications: Notifications;
  readonly ignored: (userId: string) => Promise<ReadonlySet<string>>;
  /** The user's rule for invites from a sender. */
  readonly inviteRule: (userId: string, sender: string) => Promise<InviteRule>;
  /** The same, if it is cached. */
  readonly knownIgnored: (userId: string) => ReadonlySet<string> | undefined;
  /** Loads the ignored users of several users into the cache. */
  readonly prepareIgnored: (userIds: readonly string[]) => Promise<void>;
  /** Called with users who have new notifications. */
  readonly onNotices: (userIds: readonly string[]) => void;
  readonly log: Logger;
}

/** How far to follow relations from an event to its thread. */
const MAX_STEPS = 3;
const DEFAULT_NOTIFY_LEVEL = 50;
/** Most events evaluated in one batch. */
const BATCH = 100;
/** How long evaluation may block the event loop, in ms: patterns may be expensive, and there may be many users. */
const TURN_MS = 10;

type Shared = Omit<PushSubject, 'displayName'>;

/** Somebody who is in a room now. */
interface Insider {
  readonly userId: string;
  /** Stream position of the membership event. */
  readonly position: number;
}

/** An event to be evaluated. */
interface Waiting {
  readonly event: StoredEvent;
  /** It is an invite that the server has answered itself. */
  readonly answered: boolean;
}

/** The results for a batch of events. */
interface Findings {
  readonly notices: Notice[];
  readonly read: ReadTo[];
  /** Local users by room, as they are now. */
  readonly users: Map<string, Promise<readonly Insider[]>>;
  /** Member counts by room. */
  readonly counts: Map<string, Promise<number>>;
}

export class Evaluator {
  readonly #options: EvaluatorOptions;
  readonly #unsubscribe: () => void;
  readonly #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  /** Events received, and events evaluated. */
  #told = 0;
  #seen = 0;
  /** When it last yielded to the event loop. */
  #turnBegan = 0;
  #settled: { readonly upTo: number; readonly resolve: () => void }[] = [];

  constructor(options: EvaluatorOptions) {
    this.#options = options;
    this.#unsubscribe = options.rooms.onEvent((event, { live, answered = false }) => {
      if (!live) return;
      this.#told += 1;
      this.#waiting.push({ event, answered });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when all events received so far are evaluated. */
  async settled(): Promise<void> {
    const upTo = this.#told;
    if (this.#seen >= upTo) return;
    await new Promise<void>((resolve) => this.#settled.push({ upTo, resolve }));
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.settled();
  }

  /** Events that arrive during an evaluation are batched: the busier, the less each costs. */
  async #run(): Promise<void> {
    // Batches events that arrive at the same time.
    await Promise.resolve();
    for (let batch = this.#waiting.splice(0, BATCH); batch.length > 0; batch = this.#waiting.splice(0, BATCH)) {
      await this.#take(batch);
      this.#seen += batch.length;
      const done = this.#settled.filter(({ upTo }) => upTo <= this.#seen);
      this.#settled = this.#settled.filter(({ upTo }) => upTo > this.#seen);
      for (const { resolve } of done) resolve();
    }
    this.#running = undefined;
  }

  async #take(batch: readonly Waiting[]): Promise<void> {
    const findings: Findings = { notices: [], read: [], users: new Map(), counts: new Map() };
    for (const waiting of batch) {
      const { event } = waiting;
      try {
        if (event.pdu.type === 'm.room.redaction') {
          // The redacted event may be an earlier one of the batch.
          await this.#store(findings);
          await this.#takeBack(event);
        }
        await this.#look(waiting, findings);
      } catch (error) {
        this.#warn(error, event);
      }
    }
    await this.#store(findings).catch((error: unknown) => this.#warn(error, batch[0]?.event));
  }

  async #store({ notices, read }: Findings): Promise<void> {
    const [found, passed] = [notices.splice(0), read.splice(0)];
    await this.#options.notifications.add(found, passed);
    if (found.length > 0) this.#options.onNotices([...new Set(found.map((notice) => notice.userId))]);
  }

  #warn(error: unknown, event: StoredEvent | undefined): void {
    this.#options.log.warn({ err: error, roomId: event?.roomId }, 'push rules could not be evaluated for some events');
  }

  async #look(waiting: Waiting, { notices, read, users, counts }: Findings): Promise<void> {
    const { event } = waiting;
    const { serverName } = this.#options;
    const { pdu, roomId } = event;
    const { sender } = pdu;
    const threadId = await this.#threadOf(event);
    // Sending a message implies having read everything before it.
    if (serverOf(sender) === serverName && !event.outlier) {
      const all = pdu.state_key !== undefined;
      read.push({ userId: sender, roomId, threadId: all ? '' : threadId, position: event.position });
    }
    if (pdu.type === 'm.room.member') {
      users.delete(roomId);
      counts.delete(roomId);
    }
    const shared = this.#shared(event, counts);
    for (const userId of await this.#usersFor(waiting, users)) {
      if (userId === sender) continue;
      if (performance.now() - this.#turnBegan > TURN_MS) {
        await nextTurn();
        this.#turnBegan = performance.now();
      }
      const outcome = this.#actions(event, userId, shared);
      const actions = outcome instanceof Promise ? await outcome : outcome;
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
  }

  /**
   * Local users who may get a notification for an event. Evaluation runs behind: whoever has come in since then is told
   * nothing of what was before, and is still the one to whom an invite was sent.
   */
  async #usersFor(
    { event, answered }: Waiting,
    known: Map<string, Promise<readonly Insider[]>>,
  ): Promise<readonly string[]> {
    const { pdu, roomId, outlier } = event;
    const { rooms, rules, prepareIgnored, serverName } = this.#options;
    const read = async (): Promise<readonly Insider[]> => {
      const found = (await rooms.joinedLocalMembers(roomId)).filter(({ userId }) => !isServerAccount(userId));
      const ids = found.map(({ userId }) => userId);
      await Promise.all([rules.prepare(ids), prepareIgnored(ids)]);
      return found;
    };
    const inside = known.get(roomId) ?? (outlier ? Promise.resolve([]) : read());
    if (!outlier) known.set(roomId, inside);
    const users: string[] = [];
    for (const { userId, position } of await inside) {
      const wasInside = position <= event.position || (await rooms.history.membershipAt(event, userId)) === 'join';
      if (wasInside) users.push(userId);
    }
    const target = pdu.type === 'm.room.member' ? pdu.state_key : undefined;
    const concerned = target !== undefined && serverOf(target) === serverName && !users.includes(target);
    if (!concerned || answered || (await this.#options.inviteRule(target, pdu.sender)) === 'ignore') return users;
    return [...users, target];
  }

  #actions(event: StoredEvent, userId: string, shared: Shared): Outcome | Promise<Outcome> {
    const { rules, knownIgnored } = this.#options;
    const [ignored, own] = [knownIgnored(userId), rules.known(userId)];
    if (!ignored || !own) return this.#readActions(event, userId, shared);
    return ignored.has(event.pdu.sender) ? undefined : evaluate(own, this.#subject(event, userId, shared));
  }

  async #readActions(event: StoredEvent, userId: string, shared: Shared): Promise<Outcome> {
    const { rules, ignored } = this.#options;
    if ((await ignored(userId)).has(event.pdu.sender)) return undefined;
    return evaluate(await rules.of(userId), this.#subject(event, userId, shared));
  }

  #subject(event: StoredEvent, userId: string, shared: Shared): PushSubject {
    return {
      ...shared,
      displayName: async () => {
        const own = await this.#options.rooms.stateEvent(event.roomId, 'm.room.member', userId);
        const name = member(own?.pdu.content, 'displayname');
        return typeof name === 'string' ? name : undefined;
      },
    };
  }

  /** What is the same for all recipients; evaluated on first use. */
  #shared(event: StoredEvent, counts: Map<string, Promise<number>>): Shared {
    const { rooms } = this.#options;
    const { pdu, roomId } = event;
    let levels: Promise<{ own: number; content: JsonObject | undefined }> | undefined;
    const readLevels = async (): Promise<{ own: number; content: JsonObject | undefined }> => ({
      own: await rooms.powerLevel(roomId, pdu.sender),
      content: (await rooms.stateEvent(roomId, 'm.room.power_levels', ''))?.pdu.content,
    });
    return {
      event: { ...pdu, room_id: roomId },
      roomId,
      sender: pdu.sender,
      known: new Map(),
      memberCount: () => {
        const count = counts.get(roomId) ?? rooms.joinedCount(roomId);
        counts.set(roomId, count);
        return count;
      },
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
    const target = await this.#options.rooms.redactedBy(event);
    if (target) await this.#options.notifications.remove(target.eventId);
  }
}

function isHighlight(action: JsonObject): boolean {
  return member(action, 'set_tweak') === 'highlight' && member(action, 'value') !== false;
}

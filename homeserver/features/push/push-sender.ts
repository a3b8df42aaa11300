/**
 * Sends notifications to push gateways: in order for each pusher, with retries when a gateway cannot be reached.
 *
 * @see Matrix specification, push gateway API, "POST /_matrix/push/v1/notify"
 */
import { displayName, displayTitle } from '../../../protocol/display-text.ts';
import type { Logger } from 'pino';
import { z } from 'zod';
import { isJsonObject, member, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { RoomReader } from '../../engine/rooms/room-reader.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Notice, Notifications } from './notifications.ts';
import type { Pusher, Pushers } from './pushers.ts';
import { unexpected } from '../../base/log.ts';

/**
 * Posts JSON to a URL from a client. @returns status and body @throws when there is no response
 *
 * @returns status and body
 * @throws when there is no answer
 */
export type Post = (url: string, body: JsonObject) => Promise<{ readonly status: number; readonly body: string }>;

export interface PushSenderOptions {
  readonly rooms: RoomReader;
  readonly pushers: Pushers;
  readonly notifications: Notifications;
  readonly post: Post;
  readonly log: Logger;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 3_600_000;
/** Notifications that could not be sent for this long are dropped, in ms. */
const STALE_MS = 24 * 3_600_000;
const BATCH = 20;
const KNOWN_COUNTS = 10_000;
const answerSchema = z.looseObject({ rejected: z.array(z.string()).max(100).catch([]) });

export class PushSender {
  readonly #options: PushSenderOptions;
  /** Users whose pushers are busy; true when there are further notifications. */
  readonly #busy = new Map<string, boolean>();
  readonly #running = new Set<Promise<void>>();
  readonly #waits = new Map<string, { ms: number; timer: NodeJS.Timeout | undefined }>();
  /** Users whose gateways have not got the new unread count. */
  readonly #read = new Set<string>();
  /** The unread count last sent to each pusher; forgotten on restart. */
  readonly #told = new Map<string, number>();
  #closed = false;

  constructor(options: PushSenderOptions) {
    this.#options = options;
  }

  /** Resumes after a restart. */
  async start(): Promise<void> {
    this.wake(await this.#options.pushers.users());
  }

  /** A user has read messages: sends the new unread count to their gateways. */
  read(userId: string): void {
    if (!this.#options.pushers.mayHave(userId)) return;
    this.#read.add(userId);
    this.wake([userId]);
  }

  wake(userIds: Iterable<string>): void {
    for (const userId of userIds) {
      if (this.#closed || !this.#options.pushers.mayHave(userId)) continue;
      if (this.#waits.get(userId)?.timer !== undefined) continue;
      if (this.#busy.has(userId)) {
        this.#busy.set(userId, true);
        continue;
      }
      this.#busy.set(userId, false);
      const run = this.#run(userId)
        .catch(unexpected(this.#options.log, 'notifications could not be pushed'))
        .finally(() => {
          this.#running.delete(run);
          const again = this.#busy.get(userId);
          this.#busy.delete(userId);
          if (again === true) this.wake([userId]);
        });
      this.#running.add(run);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#waits.values()) clearTimeout(timer);
    await Promise.all(this.#running);
  }

  async #run(userId: string): Promise<void> {
    const { pushers } = this.#options;
    let failed = false;
    const hasRead = this.#read.delete(userId);
    for (const pusher of await pushers.of(userId)) {
      if (pusher.data.kind !== 'http') continue;
      if (!(await this.#serve(pusher))) failed = true;
      else if (hasRead) await this.#count(pusher);
    }
    if (failed) this.#later(userId);
    else this.#waits.delete(userId);
  }

  /** @returns false when sending has to be retried @returns false when the gateway has to be asked again */
  async #serve(pusher: Pusher): Promise<boolean> {
    const { notifications, pushers, post, log } = this.#options;
    const url = member(pusher.data.data, 'url');
    if (typeof url !== 'string') return true;
    for (;;) {
      const batch = await notifications.toPush(pusher.userId, pusher.position, BATCH);
      for (const notice of batch) {
        if (this.#closed) return true;
        if (Date.now() - notice.at < STALE_MS) {
          const body = await this.#notification(pusher, notice);
          let answer;
          try {
            answer = body && (await post(url, body));
          } catch (error) {
            log.info({ err: error }, 'a push gateway could not be reached');
            return false;
          }
          if (answer && answer.status !== 200) {
            log.info({ status: answer.status }, 'a push gateway refused a notification');
            // A request that the gateway calls invalid is not retried.
            if (answer.status >= 500 || answer.status === 429) return false;
          } else if (answer && isRejected(answer.body, pusher.data.pushkey)) {
            await pushers.remove(pusher.userId, pusher.data.app_id, pusher.data.pushkey);
            return true;
          }
        }
        await pushers.pushed(pusher, notice.position);
        Object.assign(pusher, { position: notice.position });
      }
      if (batch.length < BATCH) return true;
    }
  }

  /** Sends the unread count if it has changed. Not retried: the next notification includes it. */
  async #count(pusher: Pusher): Promise<void> {
    const { notifications, post, log } = this.#options;
    const url = member(pusher.data.data, 'url');
    const unread = await notifications.badge(pusher.userId);
    if (typeof url !== 'string' || this.#closed || this.#told.get(keyOf(pusher)) === unread) return;
    try {
      await post(url, { notification: { counts: { unread }, devices: [deviceOf(pusher)] } });
      this.#tell(pusher, unread);
    } catch (error) {
      log.info({ err: error }, 'a push gateway could not be reached');
    }
  }

  #tell(pusher: Pusher, unread: number): void {
    const key = keyOf(pusher);
    this.#told.delete(key);
    this.#told.set(key, unread);
    const [oldest] = this.#told.keys();
    if (this.#told.size > KNOWN_COUNTS && oldest !== undefined) this.#told.delete(oldest);
  }

  #later(userId: string): void {
    if (this.#closed) return;
    const ms = Math.min(2 * (this.#waits.get(userId)?.ms ?? FIRST_WAIT_MS / 2), LONGEST_WAIT_MS);
    const timer = setTimeout(() => {
      this.#waits.set(userId, { ms, timer: undefined });
      this.wake([userId]);
    }, ms).unref();
    this.#waits.set(userId, { ms, timer });
  }

  async #notification(pusher: Pusher, notice: Notice): Promise<JsonObject | undefined> {
    const { rooms, notifications } = this.#options;
    const event = await rooms.event(notice.eventId);
    const unread = await notifications.badge(notice.userId);
    this.#tell(pusher, unread);
    const tweaks: JsonObject = {};
    for (const action of notice.actions) {
      if (!isJsonObject(action)) continue;
      const name = member(action, 'set_tweak');
      if (typeof name === 'string' && name !== '__proto__') tweaks[name] = member(action, 'value') ?? true;
    }
    const device = deviceOf(pusher);
    const about: JsonObject = { event_id: notice.eventId, room_id: notice.roomId };
    if (member(pusher.data.data, 'format') === 'event_id_only') {
      return { notification: { ...about, counts: { unread }, prio: 'high', devices: [device] } };
    }
    return {
      notification: {
        // The name in early versions, for old gateways.
        id: notice.eventId,
        ...about,
        ...(event ? await this.#details(event, notice.userId) : {}),
        prio: 'high',
        counts: { unread },
        devices: [{ ...device, tweaks }],
      },
    };
  }

  async #details(event: StoredEvent, userId: string): Promise<JsonObject> {
    const { pdu, roomId } = event;
    const state = async (type: string, key: string, name: string): Promise<string | undefined> => {
      const value = member((await this.#options.rooms.stateEvent(roomId, type, key))?.pdu.content, name);
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
    const [sender, room, alias] = [
      displayName(await state('m.room.member', pdu.sender, 'displayname')),
      displayTitle(await state('m.room.name', '', 'name')),
      await state('m.room.canonical_alias', '', 'alias'),
    ];
    return {
      type: pdu.type,
      sender: pdu.sender,
      content: pdu.content,
      ...(sender === undefined ? {} : { sender_display_name: sender }),
      ...(room === undefined ? {} : { room_name: room }),
      ...(alias === undefined ? {} : { room_alias: alias }),
      ...(pdu.type === 'm.room.member' ? { user_is_target: pdu.state_key === userId } : {}),
    };
  }
}

function deviceOf({ data, since }: Pusher): JsonObject {
  const { url: _url, ...others } = data.data;
  return { app_id: data.app_id, pushkey: data.pushkey, pushkey_ts: Math.floor(since / 1000), data: others };
}

function keyOf({ userId, data }: Pusher): string {
  return `${userId}\0${data.app_id}\0${data.pushkey}`;
}

function isRejected(body: string, pushkey: string): boolean {
  try {
    const parsed = answerSchema.safeParse(parseStrict(body));
    return parsed.success && parsed.data.rejected.includes(pushkey);
  } catch {
    return false;
  }
}

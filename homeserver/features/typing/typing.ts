/**
 * Typing notifications, in memory only.
 *
 * @see Matrix specification, client-server API, "Typing Notifications"; server-server API, "Typing Notifications"
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { z } from 'zod';
import { serverOf } from '../../../federation/event.ts';
import { addToJoinedRoom } from '../../engine/sync/part.ts';
import { wants, wantsRoom } from '../../engine/sync/filter.ts';
import type { SyncPart } from '../../engine/sync/part.ts';
import type { Edus } from '../../engine/federation/edus.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import type { Positions } from '../../engine/stream/positions.ts';

export interface TypingOptions {
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly edus: Edus;
  readonly ignored: (userId: string) => Promise<ReadonlySet<string>>;
}

interface RoomTyping {
  /** When each user's typing expires. */
  readonly users: Map<string, NodeJS.Timeout>;
  /** Stream position of the last change. */
  position: number;
}

const ROOMS = 10_000;
/** How long typing of a remote user lasts without an end, in ms. */
const REMOTE_MS = 60_000;
export const MAX_TYPING_MS = 120_000;

const eduSchema = z.looseObject({
  room_id: z.string().max(255),
  user_id: z.string().max(255),
  typing: z.boolean(),
});

export class Typing {
  readonly #options: TypingOptions;
  readonly #rooms = new LRUCache<string, RoomTyping>(atMost(ROOMS));
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #unsubscribe: () => void;

  constructor(options: TypingOptions) {
    this.#options = options;
    options.edus.on('m.typing', async (origin, content) => {
      const parsed = eduSchema.safeParse(content);
      if (!parsed.success || serverOf(parsed.data.user_id) !== origin) return;
      const { room_id: roomId, user_id: userId, typing } = parsed.data;
      const { rooms } = options;
      if (!(await rooms.isInside(roomId, userId)) || !(await rooms.serverAllowed(roomId, origin))) return;
      this.#set(roomId, userId, typing ? REMOTE_MS : undefined);
    });
    this.#unsubscribe = options.rooms.onEvent(({ roomId, pdu }) => {
      if (pdu.type === 'm.room.member' && pdu.state_key !== undefined && pdu.content['membership'] !== 'join') {
        this.#set(roomId, pdu.state_key, undefined);
      }
    });
  }

  /**
   * Sets whether a local user, who is in the room, is typing.
   *
   * @param forMs when it expires, in ms; undefined when they stopped
   */
  async set(roomId: string, userId: string, forMs: number | undefined): Promise<void> {
    const { rooms, sender, serverName } = this.#options;
    this.#set(roomId, userId, forMs === undefined ? undefined : Math.min(forMs, MAX_TYPING_MS));
    const servers = await rooms.joinedServers(roomId);
    servers.delete(serverName);
    if (servers.size === 0) return;
    sender.edu(servers, 'm.typing', { room_id: roomId, user_id: userId, typing: forMs !== undefined });
  }

  /** The section of `/sync`. */
  part(): SyncPart {
    return {
      name: 'typing',
      collect: async (question, answer) => {
        const { filter, upTo } = question;
        const inFilter = filter.room?.ephemeral;
        if (!wants(inFilter, { type: 'm.typing' })) return;
        const ignored = await this.#options.ignored(question.userId);
        for (const { roomId, since } of question.rooms.joined.values()) {
          const room = this.#rooms.get(roomId);
          if (!room || room.position > upTo || !wantsRoom(inFilter, roomId)) continue;
          if (since === undefined ? room.users.size === 0 : room.position <= since) continue;
          const users = [...room.users.keys()].filter((userId) => !ignored.has(userId));
          addToJoinedRoom(answer, roomId, 'ephemeral', [{ type: 'm.typing', content: { user_ids: users } }]);
        }
      },
    };
  }

  close(): void {
    this.#unsubscribe();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #set(roomId: string, userId: string, forMs: number | undefined): void {
    const room = this.#rooms.get(roomId) ?? { users: new Map<string, NodeJS.Timeout>(), position: 0 };
    const old = room.users.get(userId);
    if (old !== undefined) this.#end(old);
    if (forMs === undefined) {
      if (!room.users.delete(userId)) return;
    } else {
      const timer = setTimeout(() => this.#set(roomId, userId, undefined), forMs);
      this.#timers.add(timer);
      room.users.set(userId, timer);
      // The list is unchanged: nobody has to be woken.
      if (old !== undefined) return;
    }
    const { positions, notifier } = this.#options;
    room.position = positions.take();
    this.#rooms.set(roomId, room);
    positions.settle(room.position);
    notifier.wakeRooms([roomId]);
  }

  #end(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

/**
 * Presence, in memory only: after a restart everybody is offline until they sync.
 *
 * @see Matrix specification, client-server API, "Presence"; server-server API, "Presence"
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import { z } from 'zod';
import { isUserId, serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Edus } from '../../engine/federation/edus.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import { PRESENCES } from '../../engine/sync/presence-state.ts';
import type { PresenceState } from '../../engine/sync/presence-state.ts';
import type { Notifier } from '../../engine/stream/notifier.ts';
import type { Positions } from '../../engine/stream/positions.ts';

/** Presence is sent to nobody, to local users, or to other servers as well. */
export type PresenceMode = 'off' | 'local' | 'federated';

export interface UserPresence {
  readonly presence: PresenceState;
  readonly statusMessage: string | undefined;
  /** Unix time in ms. */
  readonly lastActive: number;
  /** Stream position of the last change that is sent to others. */
  readonly position: number;
}

export interface PresenceOptions {
  readonly mode: PresenceMode;
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly positions: Positions;
  readonly notifier: Notifier;
  readonly sender: Sender;
  readonly edus: Edus;
}

const USERS = 100_000;
const EARLY = 1_000;
/** Users who have not synced for this long are considered offline, in ms. */
const AWAY_AFTER_MS = 30_000;
const SWEEP_MS = 5_000;
const ACTIVE_MS = 60_000;
/** Most users of a room whose presence is sent to a newly joined server. */
const MAX_INTRODUCED = 100;

const eduSchema = z.looseObject({
  push: z
    .array(
      z.looseObject({
        user_id: z.string().max(255),
        presence: z.enum(PRESENCES),
        status_msg: z.string().max(1000).nullish(),
        last_active_ago: z.number().int().min(0).catch(0),
      }),
    )
    .max(1_000),
});

export class Presence {
  readonly #options: PresenceOptions;
  readonly #users = new LRUCache<string, UserPresence>(atMost(USERS));
  /** Presence of users who share no known room yet: it may arrive before their join. */
  readonly #early = new LRUCache<string, Omit<UserPresence, 'position'>>(atMost(EARLY));
  /** Changes by position, so that a sync need not check all users. */
  #changes: { position: number; userId: string }[] = [];
  /** When local users last synced, and how many of their syncs are waiting. */
  readonly #seen = new Map<string, { at: number; waiting: number }>();
  readonly #stop: (() => void)[] = [];

  constructor(options: PresenceOptions) {
    this.#options = options;
    if (options.mode === 'off') return;
    const timer = setInterval(() => {
      this.#sweep().catch(() => undefined);
    }, SWEEP_MS).unref();
    this.#stop.push(() => clearInterval(timer));
    if (options.mode !== 'federated') return;
    options.edus.on('m.presence', (origin, content) => this.#fromServer(origin, content));
    this.#stop.push(options.rooms.onEvent((event) => void this.#introduce(event).catch(() => undefined)));
    this.#stop.push(options.rooms.onMembers((roomId) => void this.#meet(roomId).catch(() => undefined)));
  }

  get mode(): PresenceMode {
    return this.#options.mode;
  }

  of(userId: string): UserPresence | undefined {
    return this.#users.get(userId);
  }

  /** Users whose presence changed after a position; `upTo` inclusive. */
  changed(since: number, upTo: number): Set<string> {
    const users = new Set<string>();
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const change = this.#changes[i];
      if (!change || change.position <= since) break;
      if (change.position <= upTo) users.add(change.userId);
    }
    return users;
  }

  /** A local user sets their presence. */
  async set(userId: string, presence: PresenceState, statusMessage: string | undefined): Promise<void> {
    if (this.mode === 'off') return;
    this.#see(userId);
    await this.#change(userId, presence, statusMessage, Date.now());
  }

  /**
   * A local user syncs. @returns a function to call when the request has ended
   *
   * @returns to be called when the request has ended
   */
  async syncs(userId: string, presence: PresenceState): Promise<() => void> {
    if (this.mode === 'off' || presence === 'offline') return () => undefined;
    const seen = this.#see(userId);
    seen.waiting += 1;
    const old = this.#users.get(userId);
    await this.#change(userId, presence, old?.statusMessage, presence === 'online' ? Date.now() : old?.lastActive);
    return () => {
      seen.waiting -= 1;
      seen.at = Date.now();
    };
  }

  close(): void {
    for (const stop of this.#stop) stop();
  }

  #see(userId: string): { at: number; waiting: number } {
    const seen = this.#seen.get(userId) ?? { at: 0, waiting: 0 };
    seen.at = Date.now();
    this.#seen.set(userId, seen);
    return seen;
  }

  async #change(
    userId: string,
    presence: PresenceState,
    statusMessage: string | undefined,
    lastActive: number | undefined,
  ): Promise<void> {
    const old = this.#users.get(userId);
    const active = lastActive ?? old?.lastActive ?? 0;
    if (old?.presence === presence && old.statusMessage === statusMessage) {
      this.#users.set(userId, { ...old, lastActive: active });
      return;
    }
    if (!old && presence === 'offline') return;
    const { positions, notifier, rooms } = this.#options;
    const position = positions.take();
    const now = { presence, statusMessage, lastActive: active, position };
    this.#users.set(userId, now);
    this.#changes.push({ position, userId });
    if (this.#changes.length > USERS) this.#changes = this.#changes.slice(-USERS / 2);
    positions.settle(position);
    const shared = await rooms.sharedUsers(userId);
    notifier.wakeUsers([userId, ...shared]);
    // Includes users who peek into a room.
    notifier.wakeRooms((await rooms.roomsOf(userId, ['join'])).map((entry) => entry.roomId));
    this.#send(userId, now, new Set(shared.map((other) => serverOf(other))));
  }

  #send(userId: string, presence: UserPresence, servers: Set<string>): void {
    const { mode, serverName, sender } = this.#options;
    servers.delete(serverName);
    if (mode !== 'federated' || serverOf(userId) !== serverName || servers.size === 0) return;
    sender.edu(servers, 'm.presence', { push: [{ user_id: userId, ...presenceContent(presence) }] });
  }

  async #sweep(): Promise<void> {
    const limit = Date.now() - AWAY_AFTER_MS;
    for (const [userId, seen] of this.#seen) {
      if (seen.waiting > 0 || seen.at > limit) continue;
      this.#seen.delete(userId);
      const old = this.#users.get(userId);
      if (old) await this.#change(userId, 'offline', old.statusMessage, old.lastActive).catch(() => undefined);
    }
  }

  async #fromServer(origin: string, content: JsonObject): Promise<void> {
    const parsed = eduSchema.safeParse(content);
    if (!parsed.success) return;
    for (const { user_id: userId, presence, status_msg: status, last_active_ago: ago } of parsed.data.push) {
      if (!isUserId(userId) || serverOf(userId) !== origin) continue;
      const told = { presence, statusMessage: status ?? undefined, lastActive: Math.max(0, Date.now() - ago) };
      if ((await this.#options.rooms.roomsOf(userId, ['join'])).length === 0) this.#early.set(userId, told);
      else await this.#change(userId, told.presence, told.statusMessage, told.lastActive);
    }
  }

  /** Sends presence between a newly joined user and the members of the room. */
  async #introduce({ roomId, pdu }: StoredEvent): Promise<void> {
    if (pdu.type !== 'm.room.member' || pdu.state_key === undefined || pdu.content['membership'] !== 'join') return;
    const { rooms, serverName } = this.#options;
    const server = serverOf(pdu.state_key);
    if (server === serverName) {
      const own = this.#users.get(pdu.state_key);
      if (own) this.#send(pdu.state_key, own, await rooms.joinedServers(roomId));
      await this.#meet(roomId);
      return;
    }
    for (const userId of (await rooms.joinedUsers(roomId)).slice(0, MAX_INTRODUCED)) {
      const presence = serverOf(userId) === serverName ? this.#users.get(userId) : undefined;
      if (presence) this.#send(userId, presence, new Set([server]));
    }
  }

  /** Applies presence that was received before we knew of a shared room. */
  async #meet(roomId: string): Promise<void> {
    for (const userId of await this.#options.rooms.joinedUsers(roomId)) {
      const early = this.#early.get(userId);
      if (!early) continue;
      this.#early.delete(userId);
      await this.#change(userId, early.presence, early.statusMessage, early.lastActive);
    }
  }
}

/** The content for clients and servers. */
export function presenceContent({ presence, statusMessage, lastActive }: UserPresence): JsonObject {
  const ago = Math.max(0, Date.now() - lastActive);
  return {
    presence,
    ...(statusMessage === undefined ? {} : { status_msg: statusMessage }),
    ...(lastActive === 0 ? {} : { last_active_ago: ago }),
    ...(presence === 'online' ? { currently_active: ago < ACTIVE_MS } : {}),
  };
}

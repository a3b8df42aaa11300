/**
 * Tells other instances which of our people wait, so that their moderators see it: to each one request at a time, the whole
 * list in place of the one before, and again from time to time, for it is forgotten else.
 */
import type { JsonObject } from '../../../federation/json.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { WAITING_TOLD } from '../../base/limits.ts';
import { MAX_SERVERS, type WaitingAnswer } from './messages.ts';
import type { WaitingHere } from './waiting-room.ts';

/** The shortest time between two messages, in ms. */
const GAP_MS = 1_000;
/** How often a list is told again: where a moderator is told of it; where none is; and to learn what became of us outside. */
const AGAIN_MS = 30_000;
const UNTOLD_AGAIN_MS = 5_000;
const OUTSIDE_AGAIN_MS = 10_000;
/** What an instance has said counts for this long, in ms. */
const TOLD_MS = 75_000;

export interface WaitingSignalsDeps {
  readonly clock: Clock;
  /** Who waits here. */
  waiting(roomId: string): readonly WaitingHere[];
  /** Whom to tell: instances with people in the conference, and outside of the room whoever has invited. */
  targets(roomId: string): Promise<{ readonly servers: readonly string[]; readonly isInside: boolean }>;
  say(server: string, roomId: string, message: JsonObject): Promise<WaitingAnswer>;
  /** An instance has told what became of some of ours. Believed of those outside of the room only. */
  answered(roomId: string, answer: Pick<WaitingAnswer, 'admitted' | 'refused'>): void;
  toldChanged(roomId: string): void;
  failed(error: unknown): void;
}

interface Lane {
  readonly server: string;
  /** It has told us so, at this monotonic time. */
  toldAt: number;
  sentAt: number;
  /** It has a list of ours. */
  hasList: boolean;
  isSending: boolean;
  isDue: boolean;
  next: Cancel;
}

export class WaitingSignals {
  readonly #deps: WaitingSignalsDeps;
  readonly #lanes = new Map<string, Map<string, Lane>>();
  /** What answers have named, by room: an instance outside of it learns by them where the moderators are. */
  readonly #named = new Map<string, ReadonlySet<string>>();
  #closed = false;

  constructor(deps: WaitingSignalsDeps) {
    this.#deps = deps;
  }

  /** Whether another instance has told a moderator of our people. */
  isTold(roomId: string): boolean {
    const since = this.#deps.clock.monotonic() - TOLD_MS;
    return [...(this.#lanes.get(roomId)?.values() ?? [])].some(({ toldAt }) => toldAt > since);
  }

  /** Who waits here, or who is in the conference, is not as it was. */
  changed(roomId: string): void {
    if (this.#closed) return;
    if (this.#deps.waiting(roomId).length === 0) this.#named.delete(roomId);
    this.#retarget(roomId).catch(this.#deps.failed);
  }

  async #retarget(roomId: string): Promise<void> {
    const { waiting, targets } = this.#deps;
    const lanes = this.#lanes.get(roomId) ?? new Map<string, Lane>();
    if (waiting(roomId).length > 0) {
      const { servers, isInside } = await targets(roomId);
      const named = isInside ? [] : (this.#named.get(roomId) ?? []);
      const all = new Set([...servers, ...named]);
      for (const server of [...all].slice(0, MAX_SERVERS)) {
        if (!lanes.has(server)) lanes.set(server, newLane(server));
      }
      for (const server of lanes.keys()) if (!all.has(server)) this.#end(roomId, server);
    }
    if (lanes.size === 0 || this.#closed) return;
    this.#lanes.set(roomId, lanes);
    for (const lane of lanes.values()) {
      lane.isDue = true;
      this.#later(roomId, lane, lane.sentAt + GAP_MS - this.#deps.clock.monotonic());
    }
  }

  #later(roomId: string, lane: Lane, ms: number): void {
    if (lane.isSending || this.#closed) return;
    lane.next();
    lane.next = this.#deps.clock.after(Math.max(0, ms), () => {
      this.#send(roomId, lane).catch(this.#deps.failed);
    });
  }

  async #send(roomId: string, lane: Lane): Promise<void> {
    const { clock, waiting, say, failed } = this.#deps;
    if (lane.isSending || this.#closed || this.#lanes.get(roomId)?.get(lane.server) !== lane) return;
    const people = waiting(roomId);
    if (people.length === 0 && !lane.hasList) {
      this.#end(roomId, lane.server);
      return;
    }
    lane.isSending = true;
    lane.isDue = false;
    lane.sentAt = clock.monotonic();
    lane.hasList = people.length > 0;
    let again = OUTSIDE_AGAIN_MS;
    try {
      const answer = await say(lane.server, roomId, messageOf(people));
      lane.toldAt = answer.told ? clock.monotonic() : -Infinity;
      again = await this.#answered(roomId, lane.server, answer);
    } catch {
      // It may not be an instance, or not be reached now: it has told nobody.
      lane.toldAt = -Infinity;
      again = AGAIN_MS;
    } finally {
      lane.isSending = false;
    }
    if (this.#closed || this.#lanes.get(roomId)?.get(lane.server) !== lane) return;
    if (waiting(roomId).length > 0) this.#deps.toldChanged(roomId);
    else if (!lane.hasList) {
      this.#end(roomId, lane.server);
      return;
    }
    this.#later(roomId, lane, lane.isDue ? GAP_MS : again);
    if (this.#named.has(roomId)) this.#retargetNamed(roomId).catch(failed);
  }

  /** @returns when to tell it again, in ms */
  async #answered(roomId: string, server: string, answer: WaitingAnswer): Promise<number> {
    const { targets, answered } = this.#deps;
    const { isInside, servers } = await targets(roomId);
    if (isInside) return answer.told ? AGAIN_MS : UNTOLD_AGAIN_MS;
    // Whoever has invited speaks for the meeting. Who was only named by them names nobody else, and decides about nobody.
    if (servers.includes(server)) {
      answered(roomId, answer);
      this.#named.set(roomId, new Set([...answer.servers, ...(this.#named.get(roomId) ?? [])].slice(0, MAX_SERVERS)));
    }
    return answer.told ? OUTSIDE_AGAIN_MS : UNTOLD_AGAIN_MS;
  }

  /** Servers that were named and have not been told yet. */
  async #retargetNamed(roomId: string): Promise<void> {
    const lanes = this.#lanes.get(roomId);
    const named = [...(this.#named.get(roomId) ?? [])];
    if (lanes && named.some((server) => !lanes.has(server))) await this.#retarget(roomId);
  }

  #end(roomId: string, server: string): void {
    const lanes = this.#lanes.get(roomId);
    lanes?.get(server)?.next();
    lanes?.delete(server);
    if (lanes?.size === 0) this.#lanes.delete(roomId);
  }

  close(): void {
    this.#closed = true;
    for (const lanes of this.#lanes.values()) for (const { next } of lanes.values()) next();
  }
}

function newLane(server: string): Lane {
  return {
    server,
    toldAt: -Infinity,
    sentAt: -Infinity,
    hasList: false,
    isSending: false,
    isDue: true,
    next: () => undefined,
  };
}

function messageOf(people: readonly WaitingHere[]): JsonObject {
  return {
    waiting: people.slice(0, WAITING_TOLD).map(({ userId, displayName, guest, since }) => ({
      user_id: userId,
      display_name: displayName,
      guest,
      since_ts: since,
    })),
    count: people.length,
  };
}

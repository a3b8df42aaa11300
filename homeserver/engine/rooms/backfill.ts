/** Fetches missing history from other servers of the room when somebody pages back to it. */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import type { Logger } from 'pino';
import { isCreate } from '../../../federation/event.ts';
import type { EventStore, StoredEvent } from './event-store.ts';
import { gapsBefore } from './gaps.ts';
import type { Members } from './members.ts';
import type { RemoteGraph } from './ports.ts';
import type { Receiver } from './receive.ts';
import type { RoomTable } from './room.ts';
import { isSilence } from './dependency-fetcher.ts';
import type { FetchLimits } from './dependency-fetcher.ts';

export interface BackfillDeps {
  readonly serverName: string;
  readonly events: EventStore;
  readonly members: Members;
  readonly receiver: Receiver;
  readonly askers: FetchLimits;
  /** Undefined before federation is set up. */
  readonly remoteGraph: () => RemoteGraph | undefined;
  readonly rooms: RoomTable;
  readonly log: Logger;
}

/** `none`: the servers asked have nothing before the event; `failed`: one that may have it did not respond. */
export type Fetched = 'filled' | 'none' | 'failed';

const LIMIT = 100;
/** Most events named in one request. */
const MAX_FROM = 20;
/** Time limit for one server, in ms. */
const ANSWER_MS = 10_000;
/** How long history that no server has is not requested again, in ms. */
const NONE_RETRY_MS = 60_000;
const KNOWN_ENDS = 1000;

export class Backfill {
  readonly #deps: BackfillDeps;
  /** Events before which no server has more, and until when none is asked. */
  readonly #ends = new LRUCache<string, number>(atMost(KNOWN_ENDS));
  /** Fetches in progress, by the event before which they look. */
  readonly #running = new Map<string, Promise<Fetched>>();
  /** The lowest position of history. */
  #firstPosition: number;

  /** @param firstPosition the lowest position of history that is stored; 0 when there is none */
  constructor(deps: BackfillDeps, firstPosition: number) {
    this.#deps = deps;
    this.#firstPosition = firstPosition;
  }

  /**
   * Fetches history before an event. After a failure, the next call tries again.
   *
   * @param until how long the caller waits, Unix time in ms; what takes longer is available to the next call
   */
  async before(event: StoredEvent, until: number): Promise<Fetched> {
    const { eventId: id } = event;
    if ((this.#ends.get(id) ?? 0) > Date.now()) return 'none';
    const { promise: late, resolve } = Promise.withResolvers<Fetched>();
    const timer = setTimeout(() => resolve('failed'), Math.max(0, until - Date.now()));
    try {
      return await Promise.race([this.#once(event), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Fetches history before the oldest event that we have. @returns false when there is none to be had
   *
   * @returns false when nothing was to be had
   */
  async beforeOldest(roomId: string): Promise<boolean> {
    const oldest = await this.#deps.events.oldest(roomId);
    return oldest !== undefined && !isCreate(oldest.pdu) && (await this.#once(oldest)) === 'filled';
  }

  /** Concurrent callers share one fetch. */
  #once(event: StoredEvent): Promise<Fetched> {
    const { eventId: id } = event;
    const running = this.#running.get(id) ?? this.#noted(event).finally(() => void this.#running.delete(id));
    this.#running.set(id, running);
    return running;
  }

  async #noted(event: StoredEvent): Promise<Fetched> {
    const fetched = await this.#fetch(event);
    if (fetched === 'none') this.#ends.set(event.eventId, Date.now() + NONE_RETRY_MS);
    return fetched;
  }

  async #fetch(event: StoredEvent): Promise<Fetched> {
    const { serverName, events, members, receiver, askers, rooms, log } = this.#deps;
    const { roomId } = event;
    const from = (await gapsBefore(events, event)).slice(0, MAX_FROM);
    const servers = [...(await members.servers(roomId))].filter((name) => name !== serverName);
    const remote = this.#deps.remoteGraph();
    const room = await rooms.find(roomId);
    if (servers.length === 0 || !remote || !room || from.length === 0) return 'none';
    let fetched: Fetched = 'none';
    // A server that joined late may have no more than we have: try the next one.
    for (const server of askers.order(servers)) {
      try {
        const pdus = await remote.backfill(roomId, from, [server], LIMIT, room.version, ANSWER_MS);
        const stored = await receiver.storeHistory(room, pdus, server, () => --this.#firstPosition);
        if (stored > 0) return 'filled';
      } catch (error) {
        fetched = 'failed';
        if (isSilence(error)) askers.silent(server);
        log.info({ err: error, roomId, server }, 'older history could not be fetched');
      }
    }
    return fetched;
  }
}

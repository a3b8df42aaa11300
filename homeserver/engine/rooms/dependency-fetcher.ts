/**
 * Fetches what is missing to place one event, never in a room's turn: for a limited time, with a limited number of
 * requests, and not again from a server that did not respond.
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../base/at-most.ts';
import type { Logger } from 'pino';
import { EVENT_REQUESTS, EVENT_REQUESTS_TO_ONE, ROOM_REQUESTS_AT_ONCE } from '../../base/limits.ts';
import { eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RemoteGraph, RemoteState } from './ports.ts';

/** Thrown for an event that cannot be placed in the graph. */
export class UnknownPlaceError extends Error {
  override readonly name = 'UnknownPlaceError';
}

/** Most servers tried for what the sending one does not have, including itself. */
const SERVERS_TO_ASK = 4;
/** Concurrent requests for one event. */
export const REQUESTS_AT_ONCE = 3;
/** How long a server that did not respond is asked last, in ms. */
const SILENCE_MS = 60_000;
const SILENT_SERVERS = 1_000;

/** Shared by all fetches: unresponsive servers, and concurrent requests by room. */
export class FetchLimits {
  readonly #silentUntil = new LRUCache<string, number>(atMost(SILENT_SERVERS));
  readonly #requests = new Map<string, number>();

  /** Sorts servers by preference: those that recently did not respond come last. */
  order(servers: Iterable<string>): string[] {
    const now = Date.now();
    const isSilent = (server: string): boolean => (this.#silentUntil.get(server) ?? 0) > now;
    const all = [...new Set(servers)];
    return [...all.filter((server) => !isSilent(server)), ...all.filter(isSilent)].slice(0, SERVERS_TO_ASK);
  }

  silent(server: string): void {
    this.#silentUntil.set(server, Date.now() + SILENCE_MS);
  }

  answered(server: string): void {
    this.#silentUntil.delete(server);
  }

  /** @returns false when too many requests are in flight for the room */
  begin(roomId: string): boolean {
    const count = this.#requests.get(roomId) ?? 0;
    if (count >= ROOM_REQUESTS_AT_ONCE) return false;
    this.#requests.set(roomId, count + 1);
    return true;
  }

  end(roomId: string): void {
    const count = (this.#requests.get(roomId) ?? 0) - 1;
    if (count > 0) this.#requests.set(roomId, count);
    else this.#requests.delete(roomId);
  }
}

export interface DependencyFetcherOptions {
  readonly room: { readonly roomId: string; readonly version: RoomVersion };
  readonly remoteGraph: () => RemoteGraph;
  readonly askers: FetchLimits;
  /** The servers to ask, in this order. */
  readonly servers: readonly string[];
  /** Time limit for all requests together, in ms. */
  readonly patienceMs: number;
  /** Whether fetching is in back-off: then every fetch throws. */
  readonly heldBack: boolean;
  readonly log: Logger;
}

/** A state provided by another server, whose events are stored as outliers. */
export interface GivenState {
  readonly eventIds: readonly string[];
  /** For the state after an event: the event itself, if it was provided. */
  readonly own?: Pdu | undefined;
}

export interface GivenStates {
  /** By the (missing) event after which they apply. */
  readonly after: ReadonlyMap<string, GivenState>;
  /** By the event before which they apply. */
  readonly before: ReadonlyMap<string, GivenState>;
}

export class DependencyFetcher implements GivenStates {
  readonly after = new Map<string, GivenState>();
  readonly before = new Map<string, GivenState>();
  readonly #options: DependencyFetcherOptions;
  readonly #answering: Set<string>;
  readonly #asked = new Map<string, number>();
  #deadline: number | undefined;
  #requests = 0;

  constructor(options: DependencyFetcherOptions) {
    this.#options = options;
    this.#answering = new Set(options.servers);
  }

  /** Whether any request was made. */
  get hasAsked(): boolean {
    return this.#requests > 0;
  }

  /** The servers that may still be asked. */
  get servers(): readonly string[] {
    return [...this.#answering];
  }

  /** The events between known ones and a new one; none when the server does not provide them. */
  async missingEvents(server: string, earliest: readonly string[], latest: string, limit: number): Promise<Pdu[]> {
    const { room, remoteGraph } = this.#options;
    const query = { roomId: room.roomId, server, version: room.version, earliest, latest: [latest], limit };
    return (await this.#ask(server, (timeoutMs) => remoteGraph().missingEvents({ ...query, timeoutMs }))) ?? [];
  }

  /** Some events and their past; none when the server does not provide them. */
  async backfill(server: string, from: readonly string[], limit: number): Promise<Pdu[]> {
    const { room, remoteGraph } = this.#options;
    const ask = (timeoutMs: number): Promise<Pdu[]> =>
      remoteGraph().backfill(room.roomId, from, [server], limit, room.version, timeoutMs);
    return (await this.#ask(server, ask)) ?? [];
  }

  /**
   * The state before an event, with its auth chain.
   *
   * @throws UnknownPlaceError when no server provides it
   */
  async stateBefore(id: string): Promise<RemoteState> {
    const { room, remoteGraph } = this.#options;
    for (const server of this.servers) {
      const given = await this.#ask(server, (timeoutMs) =>
        remoteGraph().stateAt(room.roomId, id, [server], room.version, timeoutMs),
      );
      if (given) return given;
    }
    throw new UnknownPlaceError(`The state before ${id} could not be fetched.`);
  }

  /** One event; undefined when no server provides it. */
  async event(id: string): Promise<Pdu | undefined> {
    const { room, remoteGraph } = this.#options;
    for (const server of this.servers) {
      const pdu = await this.#ask(server, (timeoutMs) => remoteGraph().event(id, [server], room.version, timeoutMs));
      if (pdu && eventId(pdu, room.version) === id) return pdu;
    }
    return undefined;
  }

  /**
   * Sends a request to one server. @returns undefined without a response @throws UnknownPlaceError when no request may
   * be sent now
   *
   * @returns undefined for no answer
   * @throws UnknownPlaceError when nobody may be asked now
   */
  async #ask<T>(server: string, question: (timeoutMs: number) => Promise<T>): Promise<T | undefined> {
    const { room, askers, patienceMs, log } = this.#options;
    if (this.#options.heldBack) throw new UnknownPlaceError('What the event needs could not be fetched a moment ago.');
    this.#deadline ??= Date.now() + patienceMs;
    const left = this.#deadline - Date.now();
    const asked = this.#asked.get(server) ?? 0;
    if (
      left <= 0 ||
      this.#requests >= EVENT_REQUESTS ||
      asked >= EVENT_REQUESTS_TO_ONE ||
      !this.#answering.has(server)
    ) {
      return undefined;
    }
    this.#requests += 1;
    this.#asked.set(server, asked + 1);
    if (!askers.begin(room.roomId)) return undefined;
    // An unresponsive server leaves time for the next one.
    const timeoutMs = Math.max(1, Math.min(left, patienceMs / 2));
    try {
      const answer = await within(timeoutMs, server, question(timeoutMs));
      askers.answered(server);
      return answer;
    } catch (error) {
      if (isSilence(error)) {
        this.#answering.delete(server);
        askers.silent(server);
      }
      log.info({ err: error, roomId: room.roomId, server }, 'a server did not provide what an event needs');
      return undefined;
    } finally {
      askers.end(room.roomId);
    }
  }
}

/** Whether a failure means that a server does not respond; otherwise it just does not have what was requested. */
export function isSilence(error: unknown): boolean {
  return !(error instanceof MatrixError) || error.status === 502;
}

/** A time limit for the whole: keys of third servers are fetched too, with time limits of their own. */
async function within<T>(ms: number, server: string, answer: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new MatrixError(502, 'M_UNKNOWN', `${server} did not respond in time.`));
  }, ms);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

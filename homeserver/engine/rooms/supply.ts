/**
 * What other servers are asked for so that one event gets its place, never in a room's turn: for a limited time, with a
 * limited number of requests, and nobody again who did not answer.
 */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { EVENT_REQUESTS, EVENT_REQUESTS_TO_ONE, ROOM_REQUESTS_AT_ONCE } from '../../base/limits.ts';
import { eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { MatrixError } from '../../base/errors.ts';
import type { RemoteGraph, RemoteState } from './ports.ts';

/** Thrown for an event whose place in the history could not be found out. */
export class UnknownPlaceError extends Error {
  override readonly name = 'UnknownPlaceError';
}

/** Servers asked in turn for what the sending one does not give, itself among them. */
const SERVERS_TO_ASK = 4;
/** Requests side by side for one event. */
export const REQUESTS_AT_ONCE = 3;
/** So long one that did not answer is asked after all others, in ms. */
const SILENCE_MS = 60_000;
const SILENT_SERVERS = 1_000;

/** What all supplies know of the servers and of each other. */
export class Askers {
  readonly #silentUntil = new LRUCache<string, number>({ max: SILENT_SERVERS });
  readonly #requests = new Map<string, number>();

  /** Whom to ask of some servers, in this order: those that lately did not answer come last. */
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

  /** @returns false when as much is under way for the room as may be */
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

export interface SupplyOptions {
  readonly room: { readonly roomId: string; readonly version: RoomVersion };
  readonly remoteGraph: () => RemoteGraph;
  readonly askers: Askers;
  /** Whom to ask, in this order. */
  readonly servers: readonly string[];
  /** How long all requests together may take, in ms. */
  readonly patienceMs: number;
  /** Whether nobody may be asked now: then all that needs it throws. */
  readonly heldBack: boolean;
  readonly log: Logger;
}

/** A state that another server gave, whose events are stored as outliers. */
export interface GivenState {
  readonly eventIds: readonly string[];
  /** For the state after an event: the event itself, where it was given. */
  readonly own?: Pdu | undefined;
}

export interface GivenStates {
  /** By the event, which we do not have, after which they are. */
  readonly after: ReadonlyMap<string, GivenState>;
  /** By the event before which they are. */
  readonly before: ReadonlyMap<string, GivenState>;
}

export class Supply implements GivenStates {
  readonly after = new Map<string, GivenState>();
  readonly before = new Map<string, GivenState>();
  readonly #options: SupplyOptions;
  readonly #answering: Set<string>;
  readonly #asked = new Map<string, number>();
  #deadline: number | undefined;
  #requests = 0;

  constructor(options: SupplyOptions) {
    this.#options = options;
    this.#answering = new Set(options.servers);
  }

  /** Whether anybody was asked. */
  get hasAsked(): boolean {
    return this.#requests > 0;
  }

  /** Servers that may still be asked. */
  get servers(): readonly string[] {
    return [...this.#answering];
  }

  /** Events between some that we have and one that we do not; none when the server can not say. */
  async missingEvents(server: string, earliest: readonly string[], latest: string, limit: number): Promise<Pdu[]> {
    const { room, remoteGraph } = this.#options;
    const query = { roomId: room.roomId, server, version: room.version, earliest, latest: [latest], limit };
    return (await this.#ask(server, (timeoutMs) => remoteGraph().missingEvents({ ...query, timeoutMs }))) ?? [];
  }

  /** Some events and what came before them; none when the server can not say. */
  async backfill(server: string, from: readonly string[], limit: number): Promise<Pdu[]> {
    const { room, remoteGraph } = this.#options;
    const ask = (timeoutMs: number): Promise<Pdu[]> =>
      remoteGraph().backfill(room.roomId, from, [server], limit, room.version, timeoutMs);
    return (await this.#ask(server, ask)) ?? [];
  }

  /**
   * The state before an event and what authorises it.
   *
   * @throws UnknownPlaceError when nobody gives it
   */
  async stateBefore(id: string): Promise<RemoteState> {
    const { room, remoteGraph } = this.#options;
    for (const server of this.servers) {
      const given = await this.#ask(server, (timeoutMs) =>
        remoteGraph().stateAt(room.roomId, id, [server], room.version, timeoutMs),
      );
      if (given) return given;
    }
    throw new UnknownPlaceError(`The state before ${id} was not given.`);
  }

  /** One event; undefined when nobody gives it. */
  async event(id: string): Promise<Pdu | undefined> {
    const { room, remoteGraph } = this.#options;
    for (const server of this.servers) {
      const pdu = await this.#ask(server, (timeoutMs) => remoteGraph().event(id, [server], room.version, timeoutMs));
      if (pdu && eventId(pdu, room.version) === id) return pdu;
    }
    return undefined;
  }

  /** Asks one server. @returns undefined for no answer @throws UnknownPlaceError when nobody may be asked now */
  async #ask<T>(server: string, question: (timeoutMs: number) => Promise<T>): Promise<T | undefined> {
    const { room, askers, patienceMs, log } = this.#options;
    if (this.#options.heldBack) throw new UnknownPlaceError('What it needs was not to be had a moment ago.');
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
    // One that is silent leaves time for the next.
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
      log.info({ err: error, roomId: room.roomId, server }, 'a server did not give what an event needs');
      return undefined;
    } finally {
      askers.end(room.roomId);
    }
  }
}

/** Whether a failure says that a server does not answer; else it only does not have what it was asked for. */
export function isSilence(error: unknown): boolean {
  return !(error instanceof MatrixError) || error.status === 502;
}

/** The keys of third servers are asked for as well, and have a time of their own. */
async function within<T>(ms: number, server: string, answer: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new MatrixError(502, 'M_UNKNOWN', `${server} did not answer in time.`));
  }, ms);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Which other organisations answer. A membership in the room outlives the homeserver that wrote it by hours; people of
 * an organisation that has not answered for two minutes do not count as being here. Two minutes are longer than an
 * update or a restart of a homeserver takes, and short enough that nobody waits in vain for somebody who is not there.
 * All times are of our own clock.
 */

/** Without any answer for this long, though asked, an organisation is lost, in ms. */
export const LOST_AFTER_MS = 120_000;
/** How often an organisation that nothing else asks is asked, in ms. */
const LOOK_EVERY_MS = 30_000;
const MAX_SERVERS = 5_000;
const MAX_ROOMS = 100;

interface Known {
  /** When the first of the failures since the last answer was. */
  silentSince: number | undefined;
  lost: boolean;
  lookedAt: number;
  looking: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Rooms in which somebody shows how many people of the organisation are there. */
  readonly rooms: Set<string>;
}

export interface ReachabilityOptions {
  /** Asks a server for something small. Rejects when it does not answer. */
  readonly ask: (server: string) => Promise<unknown>;
  readonly onChange: (server: string, lost: boolean, rooms: ReadonlySet<string>) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

export class Reachability {
  readonly #options: ReachabilityOptions;
  readonly #now: () => number;
  readonly #servers = new Map<string, Known>();
  #closed = false;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  isLost(server: string): boolean {
    return this.#servers.get(server)?.lost ?? false;
  }

  /** The server has answered, or asked something. */
  heard(server: string): void {
    const known = this.#servers.get(server);
    if (!known) return;
    known.silentSince = undefined;
    clearTimeout(known.timer);
    known.timer = undefined;
    if (!known.lost) return;
    known.lost = false;
    this.#options.onChange(server, false, known.rooms);
  }

  /** The server was asked and has not answered. */
  failed(server: string): void {
    if (this.#closed) return;
    const known = this.#known(server);
    const now = this.#now();
    known.silentSince ??= now;
    if (!known.lost && now - known.silentSince >= LOST_AFTER_MS) {
      known.lost = true;
      this.#options.onChange(server, true, known.rooms);
    }
    if (!known.lost) known.timer ??= this.#lookLater(server, known);
  }

  /** Looks in the background whether a server answers, unless that was done a moment ago. */
  look(server: string, roomId: string): void {
    const known = this.#known(server);
    if (known.rooms.size < MAX_ROOMS) known.rooms.add(roomId);
    this.#look(server, known);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#servers.values()) clearTimeout(timer);
  }

  #look(server: string, known: Known): void {
    const now = this.#now();
    if (this.#closed || known.looking || now - known.lookedAt < LOOK_EVERY_MS) return;
    known.looking = true;
    known.lookedAt = now;
    this.#options
      .ask(server)
      .then(
        () => this.heard(server),
        () => this.failed(server),
      )
      .finally(() => {
        known.looking = false;
      });
  }

  #lookLater(server: string, known: Known): NodeJS.Timeout {
    return setTimeout(() => {
      known.timer = undefined;
      known.lookedAt = -Infinity;
      this.#look(server, known);
    }, LOOK_EVERY_MS).unref();
  }

  #known(server: string): Known {
    let known = this.#servers.get(server);
    if (!known) {
      const [oldest] = this.#servers.keys();
      if (this.#servers.size >= MAX_SERVERS && oldest !== undefined) {
        clearTimeout(this.#servers.get(oldest)?.timer);
        this.#servers.delete(oldest);
      }
      known = {
        silentSince: undefined,
        lost: false,
        lookedAt: -Infinity,
        looking: false,
        timer: undefined,
        rooms: new Set(),
      };
      this.#servers.set(server, known);
    }
    return known;
  }
}

/**
 * What the specification says of the events of a room: the state around each, and whether it is rejected. Worked out
 * from the whole graph, as no single server has it while lines are cut.
 *
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU"
 */
import { AuthError, checkAuth, checkAuthEventsSelection, stateKey, stateViewOf } from '../../federation/auth-rules.ts';
import { isCreate } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { resolveState } from '../../federation/state-resolution.ts';
import type { StateMap } from '../../federation/state-resolution.ts';

interface Judged {
  readonly before: StateMap;
  readonly after: StateMap;
  readonly rejected: boolean;
}

/** An event cites one that no server has: nothing can be said of it. */
export class IncompleteGraphError extends Error {
  override readonly name = 'IncompleteGraphError';
}

export class Truth {
  readonly #version: RoomVersion;
  readonly #events: ReadonlyMap<string, Pdu>;
  readonly #judged = new Map<string, Judged>();
  readonly #numbers = new Map<StateMap, number>();
  readonly #resolved = new Map<string, StateMap>();

  /** @param events of all servers by id; may grow */
  constructor(version: RoomVersion, events: ReadonlyMap<string, Pdu>) {
    this.#version = version;
    this.#events = events;
  }

  /** Whether an event has to be rejected. @throws IncompleteGraphError */
  async rejected(eventId: string): Promise<boolean> {
    return (await this.#judge(eventId)).rejected;
  }

  /** The state before an event. @throws IncompleteGraphError */
  async before(eventId: string): Promise<StateMap> {
    return (await this.#judge(eventId)).before;
  }

  /** The state after some events together. @throws IncompleteGraphError */
  async after(eventIds: Iterable<string>): Promise<StateMap> {
    const states: StateMap[] = [];
    for (const id of eventIds) states.push((await this.#judge(id)).after);
    return this.#resolve(states);
  }

  /** Several states together. */
  async together(states: readonly StateMap[]): Promise<StateMap> {
    return this.#resolve(states);
  }

  /** Why a state does not allow an event; undefined when it does. */
  whyForbidden(eventId: string, state: StateMap): string | undefined {
    const event = this.#event(eventId);
    return why(() => checkAuth(event, eventId, this.#version, this.#view(state.values())));
  }

  async #judge(eventId: string): Promise<Judged> {
    const stack = [eventId];
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      if (this.#judged.has(id)) {
        stack.pop();
        continue;
      }
      const { prev_events: previous, auth_events: auth } = this.#event(id);
      const open = [...previous, ...auth].filter((cited) => !this.#judged.has(cited));
      if (open.length > 0) stack.push(...open);
      else this.#judged.set(id, await this.#judgeNext(id));
    }
    const judged = this.#judged.get(eventId);
    if (!judged) throw new Error('The event was not judged.');
    return judged;
  }

  /** Judges an event when all are judged that it cites. */
  async #judgeNext(eventId: string): Promise<Judged> {
    const event = this.#event(eventId);
    const states = event.prev_events.flatMap((id) => this.#judged.get(id)?.after ?? []);
    const before: StateMap = states.length === 0 ? new Map() : await this.#resolve(states);
    const cited = event.auth_events.map((id) => ({
      eventId: id,
      event: this.#event(id),
      rejected: this.#judged.get(id)?.rejected ?? true,
    }));
    const reason = why(() => {
      checkAuthEventsSelection(event, this.#version, cited);
      checkAuth(event, eventId, this.#version, this.#view(event.auth_events));
      checkAuth(event, eventId, this.#version, this.#view(before.values()));
    });
    if (reason !== undefined || event.state_key === undefined)
      return { before, after: before, rejected: reason !== undefined };
    const after = new Map(before).set(stateKey(event.type, event.state_key), eventId);
    return { before, after, rejected: false };
  }

  #view(ids: Iterable<string>): ReturnType<typeof stateViewOf> {
    return stateViewOf(
      Array.from(ids, (id) => this.#event(id)),
      [...this.#events.values()].find(isCreate),
    );
  }

  #event(id: string): Pdu {
    const event = this.#events.get(id);
    if (!event) throw new IncompleteGraphError(`No server has ${id}.`);
    return event;
  }

  async #resolve(states: readonly StateMap[]): Promise<StateMap> {
    const different = [...new Set(states)];
    const [only] = different;
    if (only && different.length === 1) return only;
    const key = different
      .map((state) => this.#number(state))
      .toSorted((a, b) => a - b)
      .join();
    const known = this.#resolved.get(key);
    if (known) return known;
    const found = await resolveState(this.#version, different, {
      event: (id) => Promise.resolve(this.#events.get(id)),
      rejected: (id) => Promise.resolve(this.#judged.get(id)?.rejected ?? true),
    });
    const resolved = different.find((state) => isSame(state, found)) ?? found;
    this.#resolved.set(key, resolved);
    return resolved;
  }

  #number(state: StateMap): number {
    const known = this.#numbers.get(state);
    if (known !== undefined) return known;
    this.#numbers.set(state, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}

/** @param check throws an AuthError @returns what that says */
function why(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof AuthError) return error.message;
    throw error;
  }
}

function isSame(a: StateMap, b: StateMap): boolean {
  return a.size === b.size && [...a].every(([key, id]) => b.get(key) === id);
}

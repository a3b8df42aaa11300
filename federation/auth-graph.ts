import { setImmediate } from 'node:timers/promises';
import type { Pdu } from './event.ts';

/** Where state resolution finds events. */
export interface StateEvents {
  event(id: string): Promise<Pdu | undefined>;
  /** Whether the auth rules rejected the event when it came. */
  rejected(id: string): boolean | Promise<boolean>;
}

/** Thrown when state resolution exceeds its limits. */
export class StateResolutionError extends Error {
  override readonly name = 'StateResolutionError';
  readonly code = 'TOO_LARGE';
}

// More than any real room needs. Without a limit, a server could keep us busy with made-up events.
const MAX_EVENTS = 100_000;
const PARALLEL = 64;
const EVENTS_PER_TURN = 200;

/** The events of one resolution with their auth events as edges, each loaded once. */
export class AuthGraph {
  readonly #source: StateEvents;
  readonly #loaded = new Map<string, Pdu | undefined>();
  readonly #limit: number;
  #steps = 0;

  constructor(source: StateEvents, limit = MAX_EVENTS) {
    this.#source = source;
    this.#limit = limit;
  }

  /** @throws StateResolutionError when too many events were loaded */
  async event(id: string): Promise<Pdu | undefined> {
    if (this.#loaded.has(id)) return this.#loaded.get(id);
    if (this.#loaded.size >= this.#limit) {
      throw new StateResolutionError(`Resolving the state needs more than ${this.#limit} auth events.`);
    }
    const event = await this.#source.event(id);
    this.#loaded.set(id, event);
    return event;
  }

  async rejected(id: string): Promise<boolean> {
    return this.#source.rejected(id);
  }

  /** The auth events of an event, as far as we have them. */
  async authEvents(event: Pdu): Promise<[id: string, event: Pdu][]> {
    const found: [string, Pdu][] = [];
    for (const id of event.auth_events) {
      const auth = await this.event(id);
      if (auth !== undefined) found.push([id, auth]);
    }
    return found;
  }

  /** The auth chains of several events: their auth events, the auth events of those, and so on. Unknown ones are left out. */
  async chainOf(ids: Iterable<string>): Promise<Set<string>> {
    const chain = new Set<string>();
    let frontier = [...new Set(ids)];
    while (frontier.length > 0) {
      const next = new Set<string>();
      for (const event of await this.#events(frontier)) {
        for (const id of event.auth_events) {
          if (!chain.has(id)) next.add(id);
        }
      }
      const known = [...next];
      await this.#events(known);
      frontier = known.filter((id) => this.#loaded.get(id) !== undefined);
      for (const id of frontier) chain.add(id);
    }
    return chain;
  }

  /**
   * The auth difference of several states: events in the auth chain of at least one of them, but not of all. As in other
   * homeservers, the events of a state count as part of its auth chain.
   *
   * @param states for each state the ids that not all states have
   * @param shared ids that all states have
   */
  async difference(states: readonly ReadonlySet<string>[], shared: readonly string[]): Promise<Set<string>> {
    const counts = new Map<string, number>();
    for (const state of states) {
      for (const id of new Set([...state, ...(await this.chainOf(state))])) counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    const difference = new Set<string>();
    for (const [id, count] of counts) {
      if (count < states.length) difference.add(id);
    }
    for (const id of [...shared, ...(await this.chainOf(shared))]) difference.delete(id);
    return difference;
  }

  /**
   * All events on a path along auth events from one of the given events to another, including both.
   *
   * @see MSC4297, "conflicted state subgraph"
   */
  async subgraphBetween(ids: ReadonlySet<string>): Promise<Set<string>> {
    const chain = await this.chainOf(ids);
    const citedBy = new Map<string, string[]>();
    const reaching: string[] = [];
    for (const id of new Set([...ids, ...chain])) {
      const event = this.#loaded.get(id);
      if (event === undefined) continue;
      if (ids.has(id)) reaching.push(id);
      for (const auth of event.auth_events) {
        const citing = citedBy.get(auth);
        if (citing === undefined) citedBy.set(auth, [id]);
        else citing.push(id);
      }
    }
    // Everything here is reached from one of the events; walking back from them finds what also leads to one.
    const subgraph = new Set(reaching);
    for (let id = reaching.pop(); id !== undefined; id = reaching.pop()) {
      for (const citing of citedBy.get(id) ?? []) {
        if (subgraph.has(citing)) continue;
        subgraph.add(citing);
        reaching.push(citing);
      }
    }
    return subgraph;
  }

  /** Yields to the event loop now and then; call it once per event in a long loop. */
  async yieldNow(): Promise<void> {
    if (++this.#steps % EVENTS_PER_TURN === 0) await setImmediate();
  }

  async #events(ids: readonly string[]): Promise<Pdu[]> {
    const events: Pdu[] = [];
    for (let at = 0; at < ids.length; at += PARALLEL) {
      const some = await Promise.all(ids.slice(at, at + PARALLEL).map((id) => this.event(id)));
      for (const event of some) {
        await this.yieldNow();
        if (event !== undefined) events.push(event);
      }
    }
    return events;
  }
}

/**
 * What the servers have stored of a room: the graph of its events, and what each server thinks of each of them. It is
 * asked only when servers tell their people different things, to find out whether they may.
 */
import { z } from 'zod';
import { AuthError, checkAuth, powerLevelOf, powerLevels, stateViewOf } from '../../federation/auth-rules.ts';
import { isCreate, redactsOf, serverOf } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import { parseStrict } from '../../federation/json.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { SoakServer } from './servers.ts';

export type Standing = 'accepted' | 'soft-failed' | 'rejected' | 'outlier';

const Row = z.object({ event_id: z.string(), json: z.string(), standing: z.string() });
const QUERIES = {
  ours: `SELECT event_id, json, CASE WHEN outlier THEN 'outlier' WHEN rejected THEN 'rejected'
           WHEN soft_failed THEN 'soft-failed' ELSE 'accepted' END AS standing FROM events WHERE room_id = $1`,
  synapse: `SELECT event_id, json, CASE WHEN outlier THEN 'outlier' WHEN rejection_reason IS NOT NULL THEN 'rejected'
              WHEN (internal_metadata::json ->> 'soft_failed')::boolean THEN 'soft-failed' ELSE 'accepted' END AS standing
            FROM events JOIN event_json USING (event_id) WHERE events.room_id = $1`,
};

export class RoomGraph {
  readonly #version;
  readonly #events = new Map<string, Pdu>();
  readonly #standings: ReadonlyMap<string, Standing>[] = [];
  readonly #pasts = new Map<string, ReadonlySet<string>>();

  private constructor(version: string) {
    const known = roomVersion(version);
    if (!known) throw new Error('The room version is unknown.');
    this.#version = known;
  }

  /** Reads the databases of all servers. */
  static async read(servers: readonly SoakServer[], roomId: string, version: string): Promise<RoomGraph> {
    const graph = new RoomGraph(version);
    for (const server of servers) {
      const { rows } = await server.database.query(QUERIES[server.kind], [roomId]);
      const standings = new Map<string, Standing>();
      for (const row of z.array(Row).parse(rows)) {
        // It is compared, and was checked by the server that has stored it.
        if (!graph.#events.has(row.event_id)) graph.#events.set(row.event_id, parseStrict(row.json) as Pdu);
        standings.set(row.event_id, row.standing as Standing);
      }
      graph.#standings.push(standings);
    }
    return graph;
  }

  event(eventId: string): Pdu | undefined {
    return this.#events.get(eventId);
  }

  get events(): ReadonlyMap<string, Pdu> {
    return this.#events;
  }

  /** What a server thinks of an event; `undefined` when it does not have it. */
  standing(server: number, eventId: string): Standing | undefined {
    return this.#standings[server]?.get(eventId);
  }

  /** What each server thinks of it, in words. */
  describe(eventId: string): string {
    const event = this.#events.get(eventId);
    const what = event
      ? `${event.type}${event.state_key === undefined ? '' : ` [${event.state_key}]`} of ${event.sender}`
      : '';
    return `${eventId} ${what}: ${this.#standings.map((one) => one.get(eventId) ?? 'absent').join(', ')}`;
  }

  /**
   * Whether a server that got an event late had to hide it from its people: the event is allowed by its own auth
   * events, but not when the state also has an event that the server has accepted, and that was sent without knowing it
   * or later, such as the leave of the sender.
   *
   * @see Matrix specification, server-server API, "Soft failure"
   */
  mayBeSoftFailed(server: number, eventId: string): boolean {
    const event = this.#events.get(eventId);
    if (!event) return false;
    // What rests on a hidden event is not allowed by the state either, which is without it.
    const rests = event.auth_events.some(
      (id) => this.standing(server, id) === 'soft-failed' && this.mayBeSoftFailed(server, id),
    );
    if (rests || this.#rulesWereInDoubt(eventId)) return true;
    const cited = event.auth_events.flatMap((id) => this.#events.get(id) ?? []);
    const create = [...this.#events.values()].find(isCreate);
    for (const [id, other] of this.#events) {
      if (other.state_key === undefined || !AUTH_TYPES.has(other.type) || id === eventId) continue;
      if (this.standing(server, id) !== 'accepted') continue;
      if (this.#past(eventId).has(id)) continue;
      try {
        checkAuth(event, eventId, this.#version, stateViewOf([...cited, other], create));
      } catch (error) {
        if (error instanceof AuthError) return true;
        throw error;
      }
    }
    return false;
  }

  /**
   * Whether a redaction redacts nothing: its sender has neither the level for it nor wrote what it names. A server that
   * did not have that event then sends it on, and the others tell nobody.
   *
   * @see room version 3, "Handling redactions"
   */
  isIdleRedaction(eventId: string): boolean {
    const event = this.#events.get(eventId);
    const target = event?.type === 'm.room.redaction' ? redactsOf(event, this.#version) : undefined;
    const redacted = this.#events.get(target ?? '');
    if (!event || !redacted || serverOf(redacted.sender) === serverOf(event.sender)) return false;
    const create = [...this.#events.values()].find(isCreate);
    const view = stateViewOf(
      event.auth_events.flatMap((id) => this.#events.get(id) ?? []),
      create,
    );
    return powerLevelOf(event.sender, this.#version, view) < powerLevels(view).redact;
  }

  /**
   * Whether the rules of the room changed on one side of a cut line while something happened on the other: until a server
   * has both sides, the resolved state may be without people whose join the new rules would not have let in.
   */
  #rulesWereInDoubt(eventId: string): boolean {
    const isLater = (id: string): boolean => id === eventId || this.#past(id).has(eventId);
    const earlier = [...this.#events.keys()].filter((id) => !isLater(id));
    const rules = earlier.filter((id) => RULES.has(this.#events.get(id)?.type ?? ''));
    return rules.some((rule) =>
      earlier.some((id) => id !== rule && !this.#past(rule).has(id) && !this.#past(id).has(rule)),
    );
  }

  /** All events before one. */
  #past(eventId: string): ReadonlySet<string> {
    const known = this.#pasts.get(eventId);
    if (known) return known;
    const past = new Set<string>();
    const open = [eventId];
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const previous of this.#events.get(id)?.prev_events ?? []) {
        if (past.has(previous)) continue;
        past.add(previous);
        open.push(previous);
      }
    }
    this.#pasts.set(eventId, past);
    return past;
  }
}

const RULES = new Set(['m.room.power_levels', 'm.room.join_rules']);
const AUTH_TYPES = new Set(['m.room.member', 'm.room.power_levels', 'm.room.join_rules']);

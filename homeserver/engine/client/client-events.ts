/** Events in the format for one client, with what is known about each; loads many events at once. */
import type { JsonObject } from '../../../federation/json.ts';
import type { Database } from '../../database/database.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import { clientEvent } from './client-event.ts';
import type { EventDetails } from './client-event.ts';

/** Who gets the events. Without a device, transaction ids are left out. */
export interface Viewer {
  readonly userId: string;
  readonly deviceId?: string;
}

/** Aggregations of related events. */
export interface Bundles {
  show(
    events: readonly StoredEvent[],
    userId: string,
    show: (event: StoredEvent) => Promise<JsonObject>,
  ): Promise<JsonObject[]>;
}

export class ClientEvents {
  readonly #db: Database;
  readonly #rooms: Rooms;
  readonly #bundles: Bundles | undefined;

  constructor(db: Database, rooms: Rooms, bundles?: Bundles) {
    this.#db = db;
    this.#rooms = rooms;
    this.#bundles = bundles;
  }

  /** Timeline events of one room, with bundled aggregations. */
  async timeline(events: readonly StoredEvent[], viewer: Viewer): Promise<JsonObject[]> {
    if (events.length === 0) return [];
    const ready = new Map(await this.#forms(events, viewer, true));
    if (!this.#bundles) return events.map((event) => ready.get(event.eventId) ?? {});
    return this.#bundles.show(events, viewer.userId, async (event) => {
      const form = ready.get(event.eventId);
      return form ?? this.one(event, viewer);
    });
  }

  /** State events of any rooms. */
  async state(events: readonly StoredEvent[], viewer: Viewer): Promise<JsonObject[]> {
    return (await this.#forms(events, viewer, false)).map(([, form]) => form);
  }

  /** One event, without bundled aggregations. */
  async one(event: StoredEvent, viewer: Viewer): Promise<JsonObject> {
    const [form] = await this.#forms([event], viewer, true);
    return form?.[1] ?? {};
  }

  /**
   * Like `one`, for many events one by one: those requested at the same time are loaded together.
   *
   * @param withMembership whether each has the viewer's membership at the event; for a whole state that is expensive
   */
  inBatches(viewer: Viewer, withMembership: boolean): (event: StoredEvent) => Promise<JsonObject> {
    let batch: { events: StoredEvent[]; forms: Promise<Map<string, JsonObject>> } | undefined;
    return async (event) => {
      if (batch === undefined) {
        const events: StoredEvent[] = [];
        const forms = Promise.resolve().then(async () => {
          batch = undefined;
          return new Map(await this.#forms(events, viewer, withMembership));
        });
        batch = { events, forms };
      }
      batch.events.push(event);
      return (await batch.forms).get(event.eventId) ?? {};
    };
  }

  async #forms(
    events: readonly StoredEvent[],
    viewer: Viewer,
    withMembership: boolean,
  ): Promise<[eventId: string, form: JsonObject][]> {
    const stateIds = events.filter((event) => event.pdu.state_key !== undefined).map((event) => event.eventId);
    const replaced = await this.#rooms.changes.replacedBy(stateIds);
    const redactions = events.map((event) => event.redactedBy).filter((id) => id !== undefined);
    const others = await this.#rooms.events([...replaced.values(), ...redactions]);
    const transactions = await this.#transactions(events, viewer);
    const memberships = withMembership ? await this.#memberships(events, viewer.userId) : undefined;
    const forms: [string, JsonObject][] = [];
    for (const event of events) {
      const details: EventDetails = {
        transactionId: transactions.get(event.eventId),
        replaced: others.get(replaced.get(event.eventId) ?? ''),
        redaction: others.get(event.redactedBy ?? ''),
        membership: memberships?.get(event.eventId),
      };
      forms.push([event.eventId, clientEvent(event, details)]);
    }
    return forms;
  }

  /** The transaction ids under which this device sent the events. */
  async #transactions(events: readonly StoredEvent[], viewer: Viewer): Promise<Map<string, string>> {
    const own = events.filter((event) => event.pdu.sender === viewer.userId).map((event) => event.eventId);
    if (own.length === 0 || viewer.deviceId === undefined) return new Map();
    const rows = await this.#db.query<{ event_id: string; transaction_id: string }>(
      // Looked up by event: a device may have sent very many others.
      `SELECT t.event_id, t.transaction_id FROM unnest($1::text[]) AS own (id), LATERAL (
         SELECT * FROM client_transactions WHERE event_id = own.id OFFSET 0
       ) AS t WHERE t.user_id = $2 AND t.device_id = $3`,
      [own, viewer.userId, viewer.deviceId],
    );
    return new Map(rows.map((row) => [row.event_id, row.transaction_id]));
  }

  /** @see Matrix specification, client-server API, "Membership of the requesting user" (MSC4115) */
  async #memberships(events: readonly StoredEvent[], userId: string): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const present = new Map<string, { membership: string; position: number } | undefined>();
    for (const event of events) {
      if (!present.has(event.roomId)) present.set(event.roomId, await this.#rooms.memberOf(event.roomId, userId));
      const now = present.get(event.roomId);
      const membership =
        now?.membership === 'join' && event.position >= now.position
          ? 'join'
          : await this.#rooms.history.membershipAt(event, userId);
      if (membership !== undefined) found.set(event.eventId, membership);
    }
    return found;
  }
}

/** The event graph of rooms, fetched from other servers: events, states and history. */
import { z } from 'zod';
import type { FederationClient } from '../../../federation/client.ts';
import { eventId } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import { MatrixError } from '../../base/errors.ts';
import type { MissingEventsQuery, RemoteGraph, RemoteState } from '../rooms/ports.ts';
import type { RoomReader } from '../rooms/room-reader.ts';
import { signedForm } from '../rooms/stored-event.ts';
import { checkedEvents, sortedEvents } from './checked-events.ts';
import {
  ask,
  eventsSchema,
  firstThatAnswers,
  JOIN_TIMEOUT_MS,
  MAX_STATE_EVENTS,
  parse,
  V1,
  WHOLE_STATE,
} from './remote-answers.ts';

/** With more missing events than this, fetching the whole state in one response is cheaper. */
const FETCH_ONE_BY_ONE = 20;

const pdusSchema = z.looseObject({ pdus: eventsSchema });
const missingSchema = z.looseObject({ events: eventsSchema });
const stateSchema = z.looseObject({ pdus: eventsSchema, auth_chain: eventsSchema });
const eventIds = z.array(z.string().max(255)).max(MAX_STATE_EVENTS);
const stateIdsSchema = z.looseObject({ pdu_ids: eventIds, auth_chain_ids: eventIds });

export interface FederatedGraphDeps {
  readonly keyring: KeyLookup;
  readonly client: FederationClient;
  readonly rooms: RoomReader;
}

export class FederatedGraph implements RemoteGraph {
  readonly #deps: FederatedGraphDeps;

  constructor(deps: FederatedGraphDeps) {
    this.#deps = deps;
  }

  async missingEvents(query: MissingEventsQuery): Promise<Pdu[]> {
    const { client, keyring } = this.#deps;
    const answer = await ask(client, query.server, {
      method: 'POST',
      path: `${V1}/get_missing_events/${encodeURIComponent(query.roomId)}`,
      body: {
        earliest_events: [...query.earliest],
        latest_events: [...query.latest],
        limit: query.limit,
        min_depth: 0,
      },
      holdsEvents: true,
      ...within(query.timeoutMs),
    });
    const given = parse(missingSchema, answer, query.server).events.slice(0, query.limit);
    return checkedEvents(given, query.version, keyring);
  }

  async stateAt(
    roomId: string,
    id: string,
    servers: readonly string[],
    version: RoomVersion,
    timeoutMs = JOIN_TIMEOUT_MS,
  ): Promise<RemoteState> {
    const { client, rooms, keyring } = this.#deps;
    const patiently = { ...WHOLE_STATE, timeoutMs };
    return firstThatAnswers(servers, async (server) => {
      const query = `${encodeURIComponent(roomId)}?event_id=${encodeURIComponent(id)}`;
      const ids = parse(
        stateIdsSchema,
        await ask(client, server, { method: 'GET', path: `${V1}/state_ids/${query}`, ...patiently }),
        server,
      );
      const known = await rooms.events([...ids.pdu_ids, ...ids.auth_chain_ids]);
      const wanted = [...ids.pdu_ids, ...ids.auth_chain_ids].filter((eventIdHere) => !known.has(eventIdHere));
      const fetched = new Map<string, Pdu>();
      let missing = 0;
      if (wanted.length > FETCH_ONE_BY_ONE) {
        const whole = parse(
          stateSchema,
          await ask(client, server, { method: 'GET', path: `${V1}/state/${query}`, ...patiently }),
          server,
        );
        const { good, unchecked } = await sortedEvents([...whole.auth_chain, ...whole.pdus], version, keyring);
        for (const pdu of good) fetched.set(eventId(pdu, version), pdu);
        missing = unchecked;
      } else {
        const given = await Promise.all(
          wanted.map((eventIdHere) => this.#given(eventIdHere, server, version, timeoutMs).catch(unlessBroken)),
        );
        for (const pdu of given) if (pdu) fetched.set(eventId(pdu, version), pdu);
        missing = given.filter((pdu) => pdu === undefined).length;
      }
      const take = (list: readonly string[]): Pdu[] =>
        list
          .map((eventIdHere) => {
            const stored = known.get(eventIdHere);
            return stored ? signedForm(stored) : fetched.get(eventIdHere);
          })
          .filter((pdu) => pdu !== undefined);
      return { state: take(ids.pdu_ids), authChain: take(ids.auth_chain_ids), missing };
    });
  }

  async event(
    id: string,
    servers: readonly string[],
    version: RoomVersion,
    timeoutMs?: number,
  ): Promise<Pdu | undefined> {
    let failure: MatrixError | undefined;
    for (const server of servers) {
      try {
        const pdu = await this.#given(id, server, version, timeoutMs);
        if (pdu) return pdu;
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        if (error.status === 502) failure = error;
      }
    }
    if (failure) throw failure;
    return undefined;
  }

  async #given(id: string, server: string, version: RoomVersion, timeoutMs?: number): Promise<Pdu | undefined> {
    const { client, keyring } = this.#deps;
    const path = `${V1}/event/${encodeURIComponent(id)}`;
    const answer = await ask(client, server, { method: 'GET', path, ...within(timeoutMs) });
    const [value] = parse(pdusSchema, answer, server).pdus;
    const [pdu] = value === undefined ? [] : await checkedEvents([value], version, keyring);
    return pdu && eventId(pdu, version) === id ? pdu : undefined;
  }

  async backfill(
    roomId: string,
    from: readonly string[],
    servers: readonly string[],
    limit: number,
    version: RoomVersion,
    timeoutMs?: number,
  ): Promise<Pdu[]> {
    const query = new URLSearchParams(from.map((id): [string, string] => ['v', id]));
    query.set('limit', String(limit));
    const { client, keyring } = this.#deps;
    return firstThatAnswers(servers, async (server) => {
      const answer = await ask(client, server, {
        method: 'GET',
        path: `${V1}/backfill/${encodeURIComponent(roomId)}?${query}`,
        holdsEvents: true,
        ...within(timeoutMs),
      });
      const given = parse(pdusSchema, answer, server).pdus.slice(0, limit + from.length);
      return checkedEvents(given, version, keyring, { anyNumberOfReferences: true });
    });
  }
}

function within(timeoutMs: number | undefined): { timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs };
}

/** Treats a failure of one server among several as no result. */
function unlessBroken(error: unknown): undefined {
  if (!(error instanceof MatrixError)) throw error;
}

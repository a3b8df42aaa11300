/** What other servers are asked about rooms. Every answer is parsed, bounded and checked before it is given on. */
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { FederationError } from '../../../federation/client.ts';
import type { FederationClient, FederationRequest } from '../../../federation/client.ts';
import {
  BadEventError,
  BadSignatureError,
  eventId,
  hashAndSign,
  isServerName,
  parsePdu,
  serverOf,
  wireForm,
} from '../../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import type { OutboundQueue } from '../../../federation/outbound-queue.ts';
import { roomVersion, SUPPORTED_ROOM_VERSIONS } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { SigningKey } from '../../../federation/signing.ts';
import { keptForm } from '../../../federation/wire-form.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Knocked, MissingEventsQuery, RemoteRooms, RemoteState } from '../rooms/ports.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { signedForm } from '../rooms/stored-event.ts';
import { checkedEvent, checkedEvents, sortedEvents } from './checked-events.ts';

const V1 = '/_matrix/federation/v1';
const V2 = '/_matrix/federation/v2';
/** A big room takes its time; the person sees that it is being entered. In ms. */
const JOIN_TIMEOUT_MS = 60_000;
/** How often a server is asked that has not yet taken what we told it, and how long it has for that each time. */
const TEMPLATE_ATTEMPTS = 4;
const TEMPLATE_PAUSE_MS = 1_000;
/** The state of a room with a hundred thousand members has some sixty million bytes. */
const WHOLE_STATE = { timeoutMs: JOIN_TIMEOUT_MS, maxBytes: 64 * 1024 * 1024, holdsEvents: true };
/** From here on the whole state in one answer is cheaper than event by event. */
const FETCH_ONE_BY_ONE = 20;
const MAX_STATE_EVENTS = 50_000;
const MAX_SERVERS = 20_000;

const object = z.custom<JsonObject>(isJsonObject, 'must be an object');
const events = z.array(z.custom<JsonValue>(() => true)).max(MAX_STATE_EVENTS);
const templateSchema = z.looseObject({ room_version: z.string().max(32).default('1'), event: object });
const sendJoinSchema = z.looseObject({
  state: events,
  auth_chain: events,
  event: object.optional(),
  members_omitted: z.boolean().default(false),
  servers_in_room: z.array(z.string().max(255)).max(MAX_SERVERS).default([]),
});
const inviteSchema = z.looseObject({ event: object });
const knockSchema = z.looseObject({
  knock_room_state: z
    .array(
      z.looseObject({ type: z.string().max(255), state_key: z.string().max(255), sender: z.string(), content: object }),
    )
    .max(MAX_STATE_EVENTS),
});
const pdusSchema = z.looseObject({ pdus: events });
const missingSchema = z.looseObject({ events });
const stateSchema = z.looseObject({ pdus: events, auth_chain: events });
const eventIds = z.array(z.string().max(255)).max(MAX_STATE_EVENTS);
const stateIdsSchema = z.looseObject({ pdu_ids: eventIds, auth_chain_ids: eventIds });

/** The room versions that we support, as the query of a question for a template. */
const VERSIONS = new URLSearchParams(SUPPORTED_ROOM_VERSIONS.map((id): [string, string] => ['ver', id])).toString();

type TemplateQuestion = readonly [
  server: string,
  kind: 'make_join' | 'make_knock' | 'make_leave',
  roomId: string,
  userId: string,
  content: JsonObject,
  query: string,
];

interface Template {
  readonly pdu: Pdu;
  readonly version: RoomVersion;
}

export interface RemoteRoomsDeps {
  readonly serverName: string;
  readonly key: SigningKey;
  readonly keyring: KeyLookup;
  readonly client: FederationClient;
  readonly queue: Pick<OutboundQueue, 'flush'>;
  readonly rooms: Rooms;
}

export class FederatedRooms implements RemoteRooms {
  readonly #deps: RemoteRoomsDeps;
  readonly #joining = new Map<string, Promise<void>>();

  constructor(deps: RemoteRoomsDeps) {
    this.#deps = deps;
  }

  /** Settles when the room is entered that is being entered now; at once for any other. */
  async joined(roomId: string): Promise<void> {
    await this.#joining.get(roomId)?.catch(() => undefined);
  }

  async join(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<void> {
    const before = this.#joining.get(roomId);
    const joining = (async () => {
      await before?.catch(() => undefined);
      await firstThatAnswers(via, (server) => this.#joinVia(server, userId, roomId, content));
    })();
    this.#joining.set(roomId, joining);
    try {
      await joining;
    } finally {
      if (this.#joining.get(roomId) === joining) this.#joining.delete(roomId);
    }
  }

  async invite(pdu: Pdu, version: RoomVersion, target: string, roomState: readonly JsonObject[]): Promise<Pdu> {
    const server = serverOf(target);
    const id = eventId(pdu, version);
    const answer = await this.#ask(server, {
      method: 'PUT',
      path: `${V2}/invite/${encodeURIComponent(pdu.room_id ?? '')}/${encodeURIComponent(id)}`,
      body: { room_version: version.id, event: wireForm(pdu, version), invite_room_state: [...roomState] },
    });
    const { event } = parse(inviteSchema, answer, server);
    const signatures = member(event, 'signatures');
    const theirs = isJsonObject(signatures) ? member(signatures, server) : undefined;
    if (!isJsonObject(theirs)) throw badAnswer(server, 'it did not sign the invitation');
    const signed = { ...wireForm(pdu, version), signatures: { ...pdu.signatures, [server]: theirs } };
    // Only the signatures are taken over; that they fit this very event is checked with the server's keys.
    return this.#checked(server, signed, version);
  }

  async leave(roomId: string, userId: string, via: readonly string[], content: JsonObject): Promise<Pdu> {
    return firstThatAnswers(via, async (server) => {
      const { pdu, version } = await this.#template(server, 'make_leave', roomId, userId, content, '');
      await this.#ask(server, {
        method: 'PUT',
        path: `${V2}/send_leave/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId(pdu, version))}`,
        body: wireForm(pdu, version),
      });
      return pdu;
    });
  }

  async knock(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<Knocked> {
    return firstThatAnswers(via, async (server) => {
      const { pdu, version } = await this.#template(server, 'make_knock', roomId, userId, content, `?${VERSIONS}`);
      const answer = await this.#ask(server, {
        method: 'PUT',
        path: `${V1}/send_knock/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId(pdu, version))}`,
        matter: 'person',
        body: wireForm(pdu, version),
      });
      const { knock_room_state: state } = parse(knockSchema, answer, server);
      return { server, event: pdu, version, state: state as unknown as Pdu[] };
    });
  }

  async missingEvents(query: MissingEventsQuery): Promise<Pdu[]> {
    const answer = await this.#ask(query.server, {
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
    return checkedEvents(given, query.version, this.#deps.keyring);
  }

  async stateAt(
    roomId: string,
    id: string,
    servers: readonly string[],
    version: RoomVersion,
    timeoutMs = JOIN_TIMEOUT_MS,
  ): Promise<RemoteState> {
    const { rooms, keyring } = this.#deps;
    const patiently = { ...WHOLE_STATE, timeoutMs };
    return firstThatAnswers(servers, async (server) => {
      const query = `${encodeURIComponent(roomId)}?event_id=${encodeURIComponent(id)}`;
      const ids = parse(
        stateIdsSchema,
        await this.#ask(server, { method: 'GET', path: `${V1}/state_ids/${query}`, ...patiently }),
        server,
      );
      const known = await rooms.events([...ids.pdu_ids, ...ids.auth_chain_ids]);
      const wanted = [...ids.pdu_ids, ...ids.auth_chain_ids].filter((eventIdHere) => !known.has(eventIdHere));
      const fetched = new Map<string, Pdu>();
      let missing = 0;
      if (wanted.length > FETCH_ONE_BY_ONE) {
        const whole = parse(
          stateSchema,
          await this.#ask(server, { method: 'GET', path: `${V1}/state/${query}`, ...patiently }),
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
    const path = `${V1}/event/${encodeURIComponent(id)}`;
    const answer = await this.#ask(server, { method: 'GET', path, ...within(timeoutMs) });
    const [value] = parse(pdusSchema, answer, server).pdus;
    const [pdu] = value === undefined ? [] : await checkedEvents([value], version, this.#deps.keyring);
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
    return firstThatAnswers(servers, async (server) => {
      const answer = await this.#ask(server, {
        method: 'GET',
        path: `${V1}/backfill/${encodeURIComponent(roomId)}?${query}`,
        holdsEvents: true,
        ...within(timeoutMs),
      });
      const given = parse(pdusSchema, answer, server).pdus.slice(0, limit + from.length);
      return checkedEvents(given, version, this.#deps.keyring, { anyNumberOfReferences: true });
    });
  }

  async #joinVia(server: string, userId: string, roomId: string, content: JsonObject): Promise<void> {
    const { keyring, rooms, serverName } = this.#deps;
    const { pdu, version } = await this.#template(server, 'make_join', roomId, userId, content, `?${VERSIONS}`);
    const id = eventId(pdu, version);
    const answer = await this.#ask(server, {
      method: 'PUT',
      path: `${V2}/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(id)}?omit_members=true`,
      matter: 'person',
      body: wireForm(pdu, version),
      ...WHOLE_STATE,
    });
    const given = parse(sendJoinSchema, answer, server);
    // A restricted join comes back with the signature of the server that vouches for it.
    const join = given.event === undefined ? pdu : await this.#checked(server, given.event, version);
    if (eventId(join, version) !== id) throw badAnswer(server, 'it gave another join than ours');
    const [state, authChain] = await Promise.all([
      sortedEvents(given.state, version, keyring),
      sortedEvents(given.auth_chain, version, keyring),
    ]);
    await rooms.adoptJoin({
      roomId,
      version,
      join,
      state: state.good,
      authChain: authChain.good,
      resident: server,
      servers: given.servers_in_room.filter((name) => isServerName(name) && name !== serverName),
      membersOmitted: given.members_omitted,
      unchecked: state.unchecked + authChain.unchecked,
    });
  }

  /**
   * Fetches the template of a membership. Who of ours has left, or banned whom, may not have got there yet, and the answer
   * would undo that for us: what waits is sent first, and a server that takes it later is asked again.
   */
  async #template(...asked: TemplateQuestion): Promise<Template> {
    const [server, , roomId, userId] = asked;
    await this.#deps.queue.flush(server);
    for (let attempt = 1; ; attempt += 1) {
      const template = await this.#oneTemplate(...asked);
      if (attempt === TEMPLATE_ATTEMPTS || !(await this.#isBehind(template.pdu, roomId, userId))) return template;
      await setTimeout(TEMPLATE_PAUSE_MS);
    }
  }

  /** Whether a template rests on a membership that we know to be replaced by the present one. */
  async #isBehind({ auth_events: cited }: Pdu, roomId: string, userId: string): Promise<boolean> {
    const { rooms } = this.#deps;
    const own = await rooms.stateEvent(roomId, 'm.room.member', userId);
    if (!own || cited.includes(own.eventId)) return false;
    const known = await rooms.events(cited);
    return own.pdu.auth_events.some((id) => {
      const before = known.get(id)?.pdu;
      return before?.type === 'm.room.member' && before.state_key === userId;
    });
  }

  /** Checks that the template is what was asked for, and signs it. */
  async #oneTemplate(...[server, kind, roomId, userId, content, query]: TemplateQuestion): Promise<Template> {
    const answer = await this.#ask(server, {
      method: 'GET',
      path: `${V1}/${kind}/${encodeURIComponent(roomId)}/${encodeURIComponent(userId)}${query}`,
      matter: kind === 'make_leave' ? 'server' : 'person',
    });
    const template = parse(templateSchema, answer, server);
    const version = roomVersion(template.room_version);
    if (!version) {
      throw new MatrixError(
        400,
        'M_UNSUPPORTED_ROOM_VERSION',
        `Room version ${template.room_version} is not supported.`,
      );
    }
    const { event } = template;
    const asked = member(content, 'membership');
    const given = member(event, 'content');
    if (
      event['type'] !== 'm.room.member' ||
      event['room_id'] !== roomId ||
      event['sender'] !== userId ||
      event['state_key'] !== userId ||
      !isJsonObject(given) ||
      given['membership'] !== asked
    ) {
      throw badAnswer(server, 'its template is for something else');
    }
    const authoriser = member(given, 'join_authorised_via_users_server');
    const wire = {
      type: 'm.room.member',
      room_id: roomId,
      sender: userId,
      state_key: userId,
      content: {
        ...content,
        ...(authoriser === undefined ? {} : { join_authorised_via_users_server: authoriser }),
      },
      prev_events: event['prev_events'] ?? [],
      auth_events: event['auth_events'] ?? [],
      depth: event['depth'] ?? 1,
      origin_server_ts: Date.now(),
    };
    const draft = keptForm(wire, version);
    if (!draft) throw badAnswer(server, 'its template is malformed');
    const { serverName, key } = this.#deps;
    const pdu = hashAndSign(draft as UnsignedPdu, version, serverName, key);
    try {
      parsePdu(wireForm(pdu, version), version, { outsideRoom: kind !== 'make_join' });
    } catch (error) {
      if (!(error instanceof BadEventError)) throw error;
      throw badAnswer(server, `its template is malformed: ${error.message}`);
    }
    return { pdu, version };
  }

  /** An event of ours that a server gave back with its signature. @throws MatrixError 502 */
  async #checked(server: string, value: JsonValue, version: RoomVersion): Promise<Pdu> {
    return checkedEvent(value, version, this.#deps.keyring).catch((error: unknown) => {
      if (!(error instanceof BadEventError || error instanceof BadSignatureError)) throw error;
      throw badAnswer(server, error.message);
    });
  }

  /** Entering and knocking are wishes of somebody; all else the server does for rooms in which it has people. */
  async #ask(server: string, request: Omit<FederationRequest, 'destination'>): Promise<JsonObject> {
    try {
      return await this.#deps.client.request({ destination: server, matter: 'server', ...request });
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      const { status, errcode } = error;
      if (status !== undefined && status >= 400 && status < 500 && errcode !== undefined) {
        throw new MatrixError(status, errcode, error.message, { organisation: server });
      }
      throw new MatrixError(502, 'M_UNKNOWN', `${server} can not be reached or failed: ${error.message}`, {
        organisation: server,
      });
    }
  }
}

function within(timeoutMs: number | undefined): { timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs };
}

/** What one request of many came to is nothing when the other server failed. */
function unlessBroken(error: unknown): undefined {
  if (!(error instanceof MatrixError)) throw error;
}

/** Asks one server after the other until one gives what was asked for. @throws the last failure */
async function firstThatAnswers<T>(servers: readonly string[], ask: (server: string) => Promise<T>): Promise<T> {
  let failure: unknown = new MatrixError(404, 'M_NOT_FOUND', 'No server is known that could be asked.');
  for (const server of servers) {
    try {
      return await ask(server);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function parse<S extends z.ZodType>(schema: S, answer: JsonObject, server: string): z.output<S> {
  const parsed = schema.safeParse(answer);
  if (!parsed.success) throw badAnswer(server, 'the answer is malformed');
  return parsed.data;
}

function badAnswer(server: string, what: string): MatrixError {
  return new MatrixError(502, 'M_UNKNOWN', `${server} gave an answer that can not be used: ${what}.`, {
    organisation: server,
  });
}

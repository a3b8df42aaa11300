/** How users of this server join, knock on, leave and are invited to rooms through other servers. */
import { z } from 'zod';
import {
  BadEventError,
  BadSignatureError,
  eventId,
  isServerName,
  serverOf,
  wireForm,
} from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import { SUPPORTED_ROOM_VERSIONS } from '../../../federation/room-versions.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';
import type { Knocked, RemoteMemberships } from '../rooms/ports.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { checkedEvent, sortedEvents } from './checked-events.ts';
import { MembershipTemplates } from './membership-templates.ts';
import type { MembershipTemplatesDeps } from './membership-templates.ts';
import {
  ask,
  badAnswer,
  eventsSchema,
  firstThatAnswers,
  MAX_STATE_EVENTS,
  objectSchema,
  parse,
  V1,
  V2,
  WHOLE_STATE,
} from './remote-answers.ts';

const MAX_SERVERS = 20_000;

const sendJoinSchema = z.looseObject({
  state: eventsSchema,
  auth_chain: eventsSchema,
  event: objectSchema.optional(),
  members_omitted: z.boolean().default(false),
  servers_in_room: z.array(z.string().max(255)).max(MAX_SERVERS).default([]),
});
const inviteSchema = z.looseObject({ event: objectSchema });
const knockSchema = z.looseObject({
  knock_room_state: z
    .array(
      z.looseObject({
        type: z.string().max(255),
        state_key: z.string().max(255),
        sender: z.string(),
        content: objectSchema,
      }),
    )
    .max(MAX_STATE_EVENTS),
});

/** The room versions that we support, as the query string of `make_join` and `make_knock`. */
const VERSIONS = new URLSearchParams(SUPPORTED_ROOM_VERSIONS.map((id): [string, string] => ['ver', id])).toString();

export interface FederatedMembershipsDeps extends MembershipTemplatesDeps {
  readonly keyring: KeyLookup;
  readonly rooms: Rooms;
}

export class FederatedMemberships implements RemoteMemberships {
  readonly #deps: FederatedMembershipsDeps;
  readonly #templates: MembershipTemplates;
  readonly #joining = new Map<string, Promise<void>>();

  constructor(deps: FederatedMembershipsDeps) {
    this.#deps = deps;
    this.#templates = new MembershipTemplates(deps);
  }

  /** Settles when a join in progress has ended; at once when there is none. */
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

  async #joinVia(server: string, userId: string, roomId: string, content: JsonObject): Promise<void> {
    const { client, keyring, rooms, serverName } = this.#deps;
    const { pdu, version } = await this.#templates.fetch(server, 'make_join', roomId, userId, content, `?${VERSIONS}`);
    const id = eventId(pdu, version);
    const answer = await ask(client, server, {
      method: 'PUT',
      path: `${V2}/send_join/${encodeURIComponent(roomId)}/${encodeURIComponent(id)}?omit_members=true`,
      onBehalfOf: 'person',
      body: wireForm(pdu, version),
      ...WHOLE_STATE,
    });
    const given = parse(sendJoinSchema, answer, server);
    // A restricted join comes back with the signature of the authorising server.
    const join = given.event === undefined ? pdu : await this.#checked(server, given.event, version);
    if (eventId(join, version) !== id) throw badAnswer(server, 'it returned another event than our join');
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

  async invite(pdu: Pdu, version: RoomVersion, target: string, roomState: readonly JsonObject[]): Promise<Pdu> {
    const server = serverOf(target);
    const id = eventId(pdu, version);
    const answer = await ask(this.#deps.client, server, {
      method: 'PUT',
      path: `${V2}/invite/${encodeURIComponent(pdu.room_id ?? '')}/${encodeURIComponent(id)}`,
      body: { room_version: version.id, event: wireForm(pdu, version), invite_room_state: [...roomState] },
    });
    const { event } = parse(inviteSchema, answer, server);
    const signatures = member(event, 'signatures');
    const theirs = isJsonObject(signatures) ? member(signatures, server) : undefined;
    if (!isJsonObject(theirs)) throw badAnswer(server, 'it did not sign the invite');
    const signed = { ...wireForm(pdu, version), signatures: { ...pdu.signatures, [server]: theirs } };
    // Only the signatures are copied; they are verified against this event with the server's keys.
    return this.#checked(server, signed, version);
  }

  async leave(roomId: string, userId: string, via: readonly string[], content: JsonObject): Promise<Pdu> {
    return firstThatAnswers(via, async (server) => {
      const { pdu, version } = await this.#templates.fetch(server, 'make_leave', roomId, userId, content, '');
      await ask(this.#deps.client, server, {
        method: 'PUT',
        path: `${V2}/send_leave/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId(pdu, version))}`,
        body: wireForm(pdu, version),
      });
      return pdu;
    });
  }

  async knock(userId: string, roomId: string, via: readonly string[], content: JsonObject): Promise<Knocked> {
    return firstThatAnswers(via, async (server) => {
      const { pdu, version } = await this.#templates.fetch(
        server,
        'make_knock',
        roomId,
        userId,
        content,
        `?${VERSIONS}`,
      );
      const answer = await ask(this.#deps.client, server, {
        method: 'PUT',
        path: `${V1}/send_knock/${encodeURIComponent(roomId)}/${encodeURIComponent(eventId(pdu, version))}`,
        onBehalfOf: 'person',
        body: wireForm(pdu, version),
      });
      const { knock_room_state: state } = parse(knockSchema, answer, server);
      return { server, event: pdu, version, state: state as unknown as Pdu[] };
    });
  }

  /** An event of ours that a server returned with its signature. @throws MatrixError 502 */
  async #checked(server: string, value: JsonValue, version: RoomVersion): Promise<Pdu> {
    return checkedEvent(value, version, this.#deps.keyring).catch((error: unknown) => {
      if (!(error instanceof BadEventError || error instanceof BadSignatureError)) throw error;
      throw badAnswer(server, error.message);
    });
  }
}

import { AuthError, authTypesFor, checkAuth, stateKey, stateViewOf } from '../../federation/auth-rules.ts';
import type { StateKey, StateView } from '../../federation/auth-rules.ts';
import { contentHash, eventId, roomIdOf } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { version } from './support.ts';

export const ALICE = '@alice:hs.example';
export const BOB = '@bob:hs.example';
export const CAROL = '@carol:hs.example';
export const MALLORY = '@mallory:other.example';

/** What an event of a `TestRoom` differs in. */
export interface Draft {
  readonly type: string;
  readonly sender: string;
  readonly state_key?: string;
  readonly content?: JsonObject;
  /** Ids; what the state of the room demands unless given. */
  readonly auth_events?: string[];
  readonly prev_events?: string[];
  readonly origin_server_ts?: number;
  readonly room_id?: string;
  readonly depth?: number;
}

/** A state of a room: state key to event id. */
export type State = Map<StateKey, string>;

/** A room of unsigned events with real ids, created by Alice. */
export class TestRoom {
  readonly version: RoomVersion;
  readonly events = new Map<string, Pdu>();
  readonly rejected = new Set<string>();
  readonly create: Pdu;
  readonly createId: string;
  readonly roomId: string;
  state: State = new Map();
  #clock = 1_700_000_000_000;
  #last: string;

  constructor(versionId = '12', createContent: JsonObject = {}) {
    this.version = version(versionId);
    this.create = this.#finish({
      type: 'm.room.create',
      sender: ALICE,
      state_key: '',
      ...(this.version.hashRoomIds ? {} : { room_id: '!room:hs.example' }),
      content: {
        room_version: versionId,
        ...(this.version.implicitCreator ? {} : { creator: ALICE }),
        ...createContent,
      },
      auth_events: [],
      prev_events: [],
    });
    this.createId = eventId(this.create, this.version);
    this.roomId = roomIdOf(this.create, this.version);
    this.#last = this.createId;
    this.events.set(this.createId, this.create);
    this.state.set(stateKey('m.room.create', ''), this.createId);
  }

  /** Makes an event without putting it into the room. */
  make(draft: Draft, state: State = this.state): Pdu {
    const pdu = this.#finish({
      room_id: this.roomId,
      content: {},
      prev_events: [this.#last],
      auth_events: [],
      ...draft,
    });
    if (draft.auth_events !== undefined) return pdu;
    return this.#finish({ ...pdu, auth_events: this.selection(pdu, state) });
  }

  /** Puts an event into the room, whether allowed or not, and answers its id. */
  add(draft: Draft, state: State = this.state): string {
    const pdu = this.make(draft, state);
    const id = eventId(pdu, this.version);
    this.events.set(id, pdu);
    this.#last = id;
    if (pdu.state_key !== undefined) state.set(stateKey(pdu.type, pdu.state_key), id);
    return id;
  }

  member(sender: string, membership: string, target = sender, state: State = this.state): string {
    return this.add({ type: 'm.room.member', sender, state_key: target, content: { membership } }, state);
  }

  joinRule(rule: string, state: State = this.state): string {
    return this.add({ type: 'm.room.join_rules', sender: ALICE, state_key: '', content: { join_rule: rule } }, state);
  }

  levels(content: Record<string, JsonValue>, sender = ALICE, state: State = this.state): string {
    return this.add({ type: 'm.room.power_levels', sender, state_key: '', content }, state);
  }

  event(id: string): Pdu {
    const pdu = this.events.get(id);
    if (pdu === undefined) throw new Error(`no event ${id}`);
    return pdu;
  }

  view(state: State = this.state): StateView {
    return stateViewOf(
      [...state.values()].map((id) => this.event(id)),
      this.create,
    );
  }

  /** The auth events that the state offers for an event. */
  selection(pdu: Pdu, state: State = this.state): string[] {
    return authTypesFor(pdu, this.version)
      .map(([type, key]) => state.get(stateKey(type, key)))
      .filter((id) => id !== undefined);
  }

  /** What the auth rules say about an event: `allowed`, or why not. */
  verdict(draft: Draft): string {
    const pdu = this.make(draft);
    return verdictOf(pdu, this.version, this.view());
  }

  /** Later events have later times. */
  #finish(fields: JsonObject): Pdu {
    const { hashes: _hashes, ...rest } = fields;
    const at = this.#clock++;
    const given: JsonObject = this.version.eventIds === 'given' ? { event_id: `$${String(at)}:hs.example` } : {};
    const pdu = { depth: 1, origin_server_ts: at, signatures: {}, ...given, ...rest };
    return { ...pdu, hashes: { sha256: contentHash(pdu, this.version) } } as unknown as Pdu;
  }
}

/** What the auth rules say about an event: `allowed`, or why not. */
export function verdictOf(pdu: Pdu, roomVersion: RoomVersion, view: StateView): string {
  try {
    checkAuth(pdu, eventId(pdu, roomVersion), roomVersion, view);
    return 'allowed';
  } catch (error) {
    if (error instanceof AuthError) return error.message;
    throw error;
  }
}

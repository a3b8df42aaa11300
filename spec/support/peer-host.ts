/** A room that a scripted server holds: others join it there, and are told its state when the spec lets them. */
import { stateKey } from '../../federation/auth-rules.ts';
import type { StateKey } from '../../federation/auth-rules.ts';
import { eventId } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import type { Peer } from './peer.ts';

export interface HostedEvent {
  readonly type: string;
  readonly sender: string;
  readonly content: JsonObject;
  readonly state_key?: string;
}

/** To be made by `HostedRoom.make`; its answers are given when `peer.answer` asks `answer`. */
export class HostedRoom {
  readonly peer: Peer;
  readonly version: RoomVersion;
  readonly roomId: string;
  readonly creator: string;
  /** All events by id, and the state after each as it is known here. */
  readonly events = new Map<string, Pdu>();
  readonly states = new Map<string, ReadonlyMap<StateKey, string>>();
  /** Events that other servers sent. */
  readonly received: Pdu[] = [];
  /** What is said of the state of the room is held back until this settles. */
  held: Promise<void> = Promise.resolve();
  /** Servers that are said to be in the room. */
  servers: string[];
  #last: string;
  #depth = 1;

  private constructor(peer: Peer, version: RoomVersion, create: Pdu, creator: string) {
    this.peer = peer;
    this.version = version;
    this.creator = creator;
    const id = eventId(create, version);
    this.roomId = `!${id.slice(1)}`;
    this.events.set(id, create);
    this.states.set(id, new Map([[stateKey('m.room.create', ''), id]]));
    this.#last = id;
    this.servers = [peer.serverName];
  }

  /** A public room of version 12 with its maker in it. */
  static make(peer: Peer, levels: JsonObject = {}): HostedRoom {
    const version = roomVersion('12');
    if (!version) throw new Error('Version 12 is not supported.');
    const creator = peer.userId('charlie');
    const create = peer.sign(
      {
        type: 'm.room.create',
        state_key: '',
        sender: creator,
        content: { room_version: '12' },
        prev_events: [],
        auth_events: [],
        depth: 1,
        origin_server_ts: Date.now(),
      } as UnsignedPdu,
      version,
    );
    const room = new HostedRoom(peer, version, create, creator);
    room.say({ type: 'm.room.member', state_key: creator, sender: creator, content: { membership: 'join' } });
    room.say({ type: 'm.room.power_levels', state_key: '', sender: creator, content: { users: levels } });
    room.say({ type: 'm.room.join_rules', state_key: '', sender: creator, content: { join_rule: 'public' } });
    return room;
  }

  /** The newest event. */
  get last(): string {
    return this.#last;
  }

  /** The state now. */
  get state(): ReadonlyMap<StateKey, string> {
    return this.states.get(this.#last) ?? new Map();
  }

  /** Somebody of the peer enters. @returns the user id */
  enter(localpart: string): string {
    const userId = this.peer.userId(localpart);
    this.say({ type: 'm.room.member', state_key: userId, sender: userId, content: { membership: 'join' } });
    return userId;
  }

  /** An event at the end of the room that is part of it. @param auth instead of the right auth events */
  say(event: HostedEvent, auth?: readonly string[]): Pdu {
    const pdu = this.peer.sign(this.#draft(event, auth), this.version);
    this.add(pdu);
    return pdu;
  }

  /** Takes an event into the room. @param isState whether it counts for the state */
  add(pdu: Pdu, isState = true): void {
    const id = eventId(pdu, this.version);
    const state = new Map(this.states.get(pdu.prev_events[0] ?? '') ?? this.state);
    if (isState && pdu.state_key !== undefined) state.set(stateKey(pdu.type, pdu.state_key), id);
    this.events.set(id, pdu);
    this.states.set(id, state);
    this.#last = id;
    this.#depth = pdu.depth;
  }

  /** An event that breaks the rules: it comes after the newest and changes nothing here. */
  sayBadly(event: HostedEvent, auth: readonly string[]): Pdu {
    const pdu = this.peer.sign(this.#draft(event, auth), this.version);
    this.add(pdu, false);
    return pdu;
  }

  id(pdu: Pdu): string {
    return eventId(pdu, this.version);
  }

  current(type: string, key = ''): string {
    return this.state.get(stateKey(type, key)) ?? '';
  }

  /** Answers a question of another server about this room; undefined for others. */
  async answer(path: string, body: unknown): Promise<JsonObject | undefined> {
    const url = new URL(path, 'https://peer');
    const [, kind, roomId, subject = ''] =
      /^\/_matrix\/federation\/v[12]\/([a-z_]+)\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    if (kind === 'event') return this.#one(decodeURIComponent(roomId ?? ''));
    if (kind === 'send') {
      for (const pdu of (body as { pdus: Pdu[] }).pdus) this.received.push(pdu);
      return { pdus: {} };
    }
    if (decodeURIComponent(roomId ?? '') !== this.roomId) return undefined;
    if (kind === 'make_join') {
      const userId = decodeURIComponent(subject);
      const join = { type: 'm.room.member', state_key: userId, sender: userId, content: { membership: 'join' } };
      return { room_version: this.version.id, event: { ...this.#draft(join) } };
    }
    if (kind === 'send_join') return this.#join(body as Pdu, url.searchParams.get('omit_members') === 'true');
    if (kind === 'state_ids' || kind === 'state') {
      await this.held;
      return this.#stateAt(url.searchParams.get('event_id') ?? '', kind === 'state_ids');
    }
    return undefined;
  }

  #one(id: string): JsonObject | undefined {
    const pdu = this.events.get(id);
    return pdu && { origin: this.peer.serverName, origin_server_ts: Date.now(), pdus: [pdu] };
  }

  #join(pdu: Pdu, omitsMembers: boolean): JsonObject {
    const before = [...this.state].filter(([key]) => !omitsMembers || !key.startsWith('m.room.member\0'));
    const state = before.map(([, id]) => id);
    this.add(pdu);
    return {
      origin: this.peer.serverName,
      members_omitted: omitsMembers,
      servers_in_room: this.servers,
      event: pdu,
      state: this.#pdus(state),
      auth_chain: this.#pdus(this.#chain([...state, this.id(pdu)]).filter((id) => !state.includes(id))),
    };
  }

  /** The state before an event. */
  #stateAt(id: string, ids: boolean): JsonObject | undefined {
    const [prev] = this.events.get(id)?.prev_events ?? [];
    const before = this.states.get(prev ?? '');
    if (!before) return undefined;
    const state = [...before.values()];
    const chain = this.#chain(state);
    return ids ? { pdu_ids: state, auth_chain_ids: chain } : { pdus: this.#pdus(state), auth_chain: this.#pdus(chain) };
  }

  #chain(from: readonly string[]): string[] {
    const chain = new Set<string>();
    const edge = [...from];
    for (let id = edge.pop(); id !== undefined; id = edge.pop()) {
      for (const cited of this.events.get(id)?.auth_events ?? []) {
        if (chain.has(cited)) continue;
        chain.add(cited);
        edge.push(cited);
      }
    }
    return [...chain];
  }

  #pdus(ids: readonly string[]): Pdu[] {
    return ids.map((id) => this.events.get(id)).filter((pdu) => pdu !== undefined);
  }

  #draft(event: HostedEvent, auth?: readonly string[]): UnsignedPdu {
    const wanted = [
      this.current('m.room.power_levels'),
      this.current('m.room.member', event.sender),
      ...(event.content['membership'] === 'join' ? [this.current('m.room.join_rules')] : []),
      ...(event.type === 'm.room.member' ? [this.current('m.room.member', event.state_key)] : []),
    ];
    return {
      ...event,
      room_id: this.roomId,
      origin_server_ts: Date.now(),
      depth: this.#depth + 1,
      prev_events: [this.#last],
      auth_events: [...new Set(auth ?? wanted)].filter((id) => id !== ''),
    } as UnsignedPdu;
  }
}

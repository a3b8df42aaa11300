/**
 * Rooms in this process: current state, membership, power and access lists, with the auth rules that conferences come
 * across, and no graph. They pass the contract that the real ones pass (spec/meetings/contracts/rooms.contract.ts). What
 * storing and telling take is time of a fake clock.
 */
import { type StateKey, stateKey } from '../../../federation/auth-rules.ts';
import { serverOf } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { powerLevelOf, powerLevels } from '../../../federation/power-levels.ts';
import { roomVersion, type RoomVersion } from '../../../federation/room-versions.ts';
import { serverAllowed } from '../../../federation/server-acl.ts';
import type { StateView } from '../../../federation/state-view.ts';
import { pause } from '../../../homeserver/base/clock.ts';
import { MatrixError } from '../../../homeserver/base/errors.ts';
import { Serial } from '../../../homeserver/base/serial.ts';
import type { EventListener, Rooms, StoredEvent } from '../../../homeserver/engine/rooms/rooms.ts';
import type { RoomPort } from '../../../homeserver/meetings/conference/ports.ts';
import { FakeClock } from './clock.ts';

type NewEvent = Parameters<RoomPort['send']>[2];
type Membership = 'join' | 'leave' | 'invite' | 'ban' | 'knock';

const VERSION: RoomVersion = known(roomVersion('12'));
let count = 0;

export class FakeRooms implements RoomPort, Pick<Rooms, 'authority' | 'invitation' | 'redactedBy'> {
  readonly clock: FakeClock;
  readonly #rooms = new Map<string, Map<StateKey, StoredEvent>>();
  readonly #listeners = new Set<EventListener>();
  readonly #turns = new Serial();
  /** How long an event is stored, in ms. */
  writeDelay: () => number = () => 0;
  /** How long somebody who reads waits, in ms. */
  readDelay: () => number = () => 0;
  /** How long after it is stored an event is told, in ms: where that differs, they are told in another order. */
  tellDelay: () => number = () => 0;
  /** What writing fails with. The event is not stored then. */
  failure: (event: NewEvent) => Error | undefined = () => undefined;

  constructor(clock = new FakeClock()) {
    this.clock = clock;
  }

  // ---- the port ----

  async state(roomId: string): Promise<ReadonlyMap<StateKey, StoredEvent>> {
    await this.#read();
    return new Map(this.#require(roomId));
  }

  async stateEvent(roomId: string, type: string, key: string): Promise<StoredEvent | undefined> {
    await this.#read();
    return this.#current(roomId, type, key);
  }

  async stateOfType(
    roomId: string,
    type: string,
    isWanted: (stateKey: string) => boolean = () => true,
  ): Promise<StoredEvent[]> {
    await this.#read();
    return [...this.#require(roomId).values()].filter(({ pdu }) => pdu.type === type && isWanted(pdu.state_key ?? ''));
  }

  async membership(roomId: string, userId: string): Promise<string | undefined> {
    await this.#read();
    return this.#membership(roomId, userId);
  }

  async isInside(roomId: string, userId: string): Promise<boolean> {
    return (await this.membership(roomId, userId)) === 'join';
  }

  async joinedServers(roomId: string): Promise<Set<string>> {
    await this.#read();
    const inside = [...(this.#rooms.get(roomId)?.values() ?? [])].filter(
      ({ pdu }) => pdu.type === 'm.room.member' && pdu.content['membership'] === 'join',
    );
    return new Set(inside.map(({ pdu }) => serverOf(pdu.state_key ?? '')));
  }

  async serverAllowed(roomId: string, server: string): Promise<boolean> {
    const acl = await this.stateEvent(roomId, 'm.room.server_acl', '');
    return serverAllowed(acl?.pdu.content, server);
  }

  async authority(roomId: string, userId: string): ReturnType<Rooms['authority']> {
    await this.#read();
    this.#require(roomId);
    const view = this.#view(roomId);
    return { level: powerLevelOf(userId, VERSION, view), levels: powerLevels(view) };
  }

  /** Nothing is redacted here. */
  redactedBy(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async whole(roomId: string): Promise<void> {
    await this.#read();
    this.#require(roomId);
  }

  async join(userId: string, roomId: string): Promise<string> {
    await this.#turns.run(roomId, async () => {
      await pause(this.clock, this.writeDelay());
      this.#require(roomId);
      const membership = this.#membership(roomId, userId);
      if (membership === 'join') return;
      if (membership !== 'invite') throw forbidden('You are not invited to this room.');
      this.put(roomId, userId, 'm.room.member', userId, { membership: 'join' });
    });
    return roomId;
  }

  async send(roomId: string, sender: string, event: NewEvent): Promise<StoredEvent> {
    return this.#turns.run(roomId, async () => {
      await pause(this.clock, this.writeDelay());
      this.#require(roomId);
      const failure = this.failure(event);
      if (failure) throw failure;
      this.#check(roomId, sender, event);
      return this.put(roomId, sender, event.type, event.stateKey, event.content);
    });
  }

  /** Of rooms that an instance is not in: here all are in all rooms. */
  async invitation(): ReturnType<Rooms['invitation']> {
    await this.#read();
    return undefined;
  }

  /** Lets somebody in, by an invitation of who may invite. */
  readonly memberships = {
    admit: (roomId: string, inviter: string, userId: string): Promise<void> =>
      this.#turns.run(roomId, async () => {
        await pause(this.clock, this.writeDelay());
        if (this.#membership(roomId, userId) === 'join') return;
        if (this.#membership(roomId, userId) === 'ban') throw forbidden('You are banned from this room.');
        if (this.#membership(roomId, inviter) !== 'join') throw forbidden('You are not in this room.');
        this.put(roomId, userId, 'm.room.member', userId, { membership: 'join' });
      }),
  };

  onEvent(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // ---- what a spec lets happen ----

  /** A room whose creator has power over everything, and may let others in. */
  create(roomId: string, creator: string): void {
    this.#rooms.set(roomId, new Map());
    this.put(roomId, creator, 'm.room.create', '', { room_version: '12' });
    this.put(roomId, creator, 'm.room.member', creator, { membership: 'join' });
    this.put(roomId, creator, 'm.room.power_levels', '', { state_default: 50, events_default: 0 });
    this.allow(roomId, 'org.matrix.msc3401.call.member');
  }

  /** Everybody in the room may write events of a type. */
  allow(roomId: string, type: string): void {
    const levels = this.#current(roomId, 'm.room.power_levels', '');
    const events = { ...Object(levels?.pdu.content['events']), [type]: 0 };
    this.put(roomId, levels?.pdu.sender ?? '', 'm.room.power_levels', '', { ...levels?.pdu.content, events });
  }

  /** Lets somebody in, or takes somebody out, whatever they want. */
  setMember(roomId: string, userId: string, membership: Membership, by = userId): void {
    this.put(roomId, by, 'm.room.member', userId, { membership });
  }

  /** Stores an event of anybody of any server, and tells it. */
  put(roomId: string, sender: string, type: string, key: string | undefined, content: JsonObject): StoredEvent {
    const state = this.#require(roomId);
    count += 1;
    const event: StoredEvent = {
      eventId: `$${String(count)}`,
      roomId,
      pdu: {
        type,
        sender,
        room_id: roomId,
        ...(key === undefined ? {} : { state_key: key }),
        content,
        auth_events: [],
        prev_events: [],
        depth: count,
        origin_server_ts: this.clock.now(),
        hashes: { sha256: '' },
        signatures: {},
      },
      position: count,
      rejected: false,
      softFailed: false,
      outlier: false,
    };
    if (key !== undefined) state.set(stateKey(type, key), event);
    this.clock.after(this.tellDelay(), () => {
      for (const listener of this.#listeners) listener(event, { live: true });
    });
    return event;
  }

  // ---- rules ----

  #read(): Promise<void> {
    return pause(this.clock, this.readDelay());
  }

  #check(roomId: string, sender: string, { type, stateKey: key }: NewEvent): void {
    if (this.#membership(roomId, sender) !== 'join') throw forbidden('You are not in this room.');
    if (key === undefined) return;
    if (key.startsWith('@') && key !== sender && type !== 'm.room.member') {
      throw forbidden('You may not write under the name of somebody else.');
    }
    const view = this.#view(roomId);
    const { events, state_default: fallback } = powerLevels(view);
    if (powerLevelOf(sender, VERSION, view) < (events.get(type) ?? fallback))
      throw forbidden('You may not write that.');
  }

  #view(roomId: string): StateView {
    return {
      get: (type, key) => this.#current(roomId, type, key)?.pdu,
      create: known(this.#current(roomId, 'm.room.create', '')).pdu,
    };
  }

  #membership(roomId: string, userId: string): string | undefined {
    const membership = this.#current(roomId, 'm.room.member', userId)?.pdu.content['membership'];
    return typeof membership === 'string' ? membership : undefined;
  }

  #current(roomId: string, type: string, key: string): StoredEvent | undefined {
    return this.#rooms.get(roomId)?.get(stateKey(type, key));
  }

  #require(roomId: string): Map<StateKey, StoredEvent> {
    const room = this.#rooms.get(roomId);
    if (!room) throw new MatrixError(404, 'M_NOT_FOUND', 'There is no such room.');
    return room;
  }
}

function forbidden(message: string): MatrixError {
  return new MatrixError(403, 'M_FORBIDDEN', message);
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('There is no such thing in the fake rooms.');
  return value;
}

/** A small room of three servers, made by a spec, of which each server may get the events in its own order. */
import { eventId, hashAndSign } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { canonicalJson } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { RoomGraph } from './graph.ts';
import type { Arrival, Standing } from './graph.ts';
import type { SoakServer } from './servers.ts';

const VERSION = '11';
export const [ANNA, BERT, EVE] = ['@anna:a.example', '@bert:b.example', '@eve:c.example'];
const NAMES = ['a.example', 'b.example', 'c.example'];

/** What a server got after what all have in common, and what it thinks of that. */
export type Order = readonly (readonly [eventId: string, standing: Standing])[];

export class Sketch {
  readonly events = new Map<string, Pdu>();
  readonly create: string;
  readonly anna: string;
  readonly levels: string;
  readonly rules: string;
  readonly bert: string;
  readonly eve: string;
  readonly #version;
  readonly #key = createSigningKey(generateSeed(), '1');
  #time = 0;

  /** Anna, who may do everything, Bert and Eve come in, each on a server of their own. */
  constructor() {
    const version = roomVersion(VERSION);
    if (!version) throw new Error(`Room version ${VERSION} is not supported.`);
    this.#version = version;
    this.create = this.event(ANNA, [], this.state('m.room.create', { room_version: VERSION }), []);
    this.anna = this.event(ANNA, [this.create], this.member(ANNA, 'join'), [this.create]);
    const [begun, users] = [[this.create, this.anna], { [ANNA]: 100 }];
    this.levels = this.event(ANNA, [this.anna], this.state('m.room.power_levels', { users }), begun);
    const open = this.state('m.room.join_rules', { join_rule: 'public' });
    this.rules = this.event(ANNA, [this.levels], open, [...begun, this.levels]);
    const entry = [this.create, this.levels, this.rules];
    this.bert = this.event(BERT, [this.rules], this.member(BERT, 'join'), entry);
    this.eve = this.event(EVE, [this.bert], this.member(EVE, 'join'), entry);
  }

  /** An event after others. @returns its id */
  event(sender: string, previous: readonly string[], details: JsonObject, auth: readonly string[]): string {
    const depth = Math.max(0, ...previous.map((id) => this.events.get(id)?.depth ?? 0)) + 1;
    const pdu = hashAndSign(
      {
        room_id: '!room:a.example',
        sender,
        origin_server_ts: (this.#time += 1),
        depth,
        prev_events: [...previous],
        auth_events: [...auth],
        ...details,
      } as UnsignedPdu,
      this.#version,
      sender.slice(sender.indexOf(':') + 1),
      this.#key,
    );
    const id = eventId(pdu, this.#version);
    this.events.set(id, pdu);
    return id;
  }

  member(userId: string, membership: string): JsonObject {
    return { type: 'm.room.member', state_key: userId, content: { membership } };
  }

  state(type: string, content: JsonObject): JsonObject {
    return { type, state_key: '', content };
  }

  get message(): JsonObject {
    return { type: 'm.room.message', content: { body: `message ${String(this.#time)}` } };
  }

  redaction(target: string): JsonObject {
    return { type: 'm.room.redaction', content: { redacts: target } };
  }

  /** What servers make of events that they get in some order after the common ones, but for those of them in the order. */
  graph(kinds: readonly SoakServer['kind'][], ...orders: readonly Order[]): RoomGraph {
    const common = [this.create, this.anna, this.levels, this.rules, this.bert, this.eve];
    const all = orders.map((order) => {
      const taken = common.filter((id) => order.every(([other]) => other !== id));
      return [...taken.map((id) => [id, 'accepted'] as const), ...order];
    });
    return RoomGraph.of(
      all.map((order) =>
        order.map(([id, standing], index): Arrival => {
          return { eventId: id, position: index + 1, standing, json: canonicalJson(this.events.get(id) ?? {}) };
        }),
      ),
      kinds.map((kind, index) => ({ kind, name: NAMES[index] ?? '' })),
      VERSION,
    );
  }
}

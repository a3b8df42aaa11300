import { eventId, hashAndSign } from '../../federation/event.ts';
import type { Pdu, UnsignedPdu } from '../../federation/event.ts';
import { canonicalJson } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import { roomVersion } from '../../federation/room-versions.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { RoomGraph } from './graph.ts';
import type { Arrival, Standing } from './graph.ts';

const VERSION = '11';
const [ANNA, BERT, EVE] = ['@anna:a.example', '@bert:b.example', '@eve:b.example'];
const SERVERS = [
  { kind: 'ours', name: 'a.example' },
  { kind: 'ours', name: 'b.example' },
] as const;

describe('What a soak makes of verdicts', () => {
  const version = supported(VERSION);
  const key = createSigningKey(generateSeed(), '1');
  const events = new Map<string, Pdu>();
  let time = 0;

  /** An event of a room that all have in common, after others. */
  function event(sender: string, previous: readonly string[], details: JsonObject, auth: readonly string[]): string {
    const depth = Math.max(0, ...previous.map((id) => events.get(id)?.depth ?? 0)) + 1;
    const pdu = hashAndSign(
      {
        room_id: '!room:a.example',
        sender,
        origin_server_ts: (time += 1),
        depth,
        prev_events: [...previous],
        auth_events: [...auth],
        ...details,
      } as UnsignedPdu,
      version,
      sender.slice(sender.indexOf(':') + 1),
      key,
    );
    const id = eventId(pdu, version);
    events.set(id, pdu);
    return id;
  }
  const member = (userId: string, membership: string): JsonObject => ({
    type: 'm.room.member',
    state_key: userId,
    content: { membership },
  });
  const message = { type: 'm.room.message', content: { body: 'hello' } };
  const state = (type: string, content: JsonObject): JsonObject => ({ type, state_key: '', content });

  const create = event(ANNA, [], state('m.room.create', { room_version: VERSION }), []);
  const anna = event(ANNA, [create], member(ANNA, 'join'), [create]);
  const levels = event(ANNA, [anna], state('m.room.power_levels', { users: { [ANNA]: 100 } }), [create, anna]);
  const rules = event(ANNA, [levels], state('m.room.join_rules', { join_rule: 'public' }), [create, anna, levels]);
  const bert = event(BERT, [rules], member(BERT, 'join'), [create, levels, rules]);
  const eve = event(EVE, [bert], member(EVE, 'join'), [create, levels, rules]);
  const common = [create, anna, levels, rules, bert, eve];

  /** What servers make of events that they get in some order after the common ones. */
  function graph(...orders: readonly (readonly (readonly [string, Standing])[])[]): RoomGraph {
    const all = orders.map((order) => [...common.map((id) => [id, 'accepted'] as const), ...order]);
    return RoomGraph.of(
      all.map((order) =>
        order.map(([id, standing], index): Arrival => {
          return { eventId: id, position: index + 1, standing, json: canonicalJson(events.get(id) ?? {}) };
        }),
      ),
      SERVERS,
      VERSION,
    );
  }

  it('a server had to hide what came after the ban of its sender, and no other one had to', async () => {
    const ban = event(ANNA, [eve], member(EVE, 'ban'), [create, anna, levels, eve]);
    const late = event(EVE, [eve], message, [create, levels, eve]);
    const both = graph(
      [
        [ban, 'accepted'],
        [late, 'soft-failed'],
      ],
      [
        [late, 'soft-failed'],
        [ban, 'accepted'],
      ],
    );
    expect(await both.hadToSoftFail(0, late)).toBeTrue();
    expect(await both.hadToSoftFail(1, late)).toBeFalse();
    expect(await both.misjudged(0)).toEqual([]);
  });

  it('a change of the rules on one side of a cut excuses no server that hides what the new rules allow', async () => {
    const closed = event(ANNA, [eve], state('m.room.join_rules', { join_rule: 'invite' }), [create, anna, levels]);
    const said = event(BERT, [eve], message, [create, levels, bert]);
    const one = graph([
      [closed, 'accepted'],
      [said, 'soft-failed'],
    ]);
    expect(await one.hadToSoftFail(0, said)).toBeFalse();
  });

  it('a server may not reject what the rules allow, nor take what they forbid', async () => {
    const said = event(BERT, [eve], message, [create, levels, bert]);
    const named = event(BERT, [eve], state('m.room.name', { name: 'Mine' }), [create, levels, bert]);
    const one = graph([
      [said, 'rejected'],
      [named, 'accepted'],
    ]);
    expect(await one.misjudged(0)).toEqual([said, named]);
  });
});

/** @throws Error */
function supported(id: string): RoomVersion {
  const version = roomVersion(id);
  if (!version) throw new Error(`Room version ${id} is not supported.`);
  return version;
}

import { AuthGraph } from '../../federation/auth-graph.ts';
import { stateKey } from '../../federation/auth-rules.ts';
import type { JsonObject } from '../../federation/json.ts';
import { resolveState, StateResolutionError } from '../../federation/state-resolution.ts';
import type { StateEvents } from '../../federation/state-resolution.ts';
import { rejection } from './support.ts';
import { ALICE, BOB, CAROL, TestRoom } from './test-room.ts';
import type { Draft, State } from './test-room.ts';

const VERSIONS = ['10', '11', '12'];
const LEVELS = stateKey('m.room.power_levels', '');
const JOIN_RULES = stateKey('m.room.join_rules', '');
const TOPIC = stateKey('m.room.topic', '');

function memberKey(userId: string) {
  return stateKey('m.room.member', userId);
}

function storeOf(room: TestRoom): StateEvents {
  return { event: (id) => Promise.resolve(room.events.get(id)), rejected: (id) => room.rejected.has(id) };
}

/** The resolved state, made sure that neither the order of the states nor doubling one matters. */
async function resolve(room: TestRoom, ...states: State[]): Promise<State> {
  const resolved = await resolveState(room.version, states, storeOf(room));
  const [first] = states;
  const again = await resolveState(room.version, [...states, ...(first ? [first] : [])].reverse(), storeOf(room));
  expect([...again].sort()).toEqual([...resolved].sort());
  return resolved;
}

/** The content of power levels with Alice at 100, however the room version says so. */
function levels(room: TestRoom, users: Record<string, number>): JsonObject {
  return { users: room.version.privilegedCreators ? users : { [ALICE]: 100, ...users } };
}

/** A public room with Alice, who created it, and Bob, who has level 50. */
function room(versionId: string): TestRoom {
  const made = new TestRoom(versionId);
  made.member(ALICE, 'join');
  made.levels(levels(made, { [BOB]: 50 }));
  made.joinRule('public');
  made.member(BOB, 'join');
  return made;
}

function topic(sender: string, text: string, more: Partial<Draft> = {}): Draft {
  return { type: 'm.room.topic', sender, state_key: '', content: { topic: text }, ...more };
}

for (const versionId of VERSIONS) {
  describe(`state resolution in room version ${versionId}`, () => {
    let r: TestRoom;
    let left: State;
    let right: State;

    beforeEach(() => {
      r = room(versionId);
      left = new Map(r.state);
      right = new Map(r.state);
    });

    it('keeps what all agree on', async () => {
      expect(await resolve(r, left, right)).toEqual(r.state);
      expect(await resolve(r, left)).toEqual(r.state);
    });

    it('takes what only one state has, if it is allowed', async () => {
      const good = r.add(topic(BOB, 'good'), left);
      r.add({ type: 'm.room.name', sender: CAROL, state_key: '' }, left);
      expect(await resolve(r, left, right)).toEqual(new Map([...r.state, [TOPIC, good]]));
    });

    it('lets a ban by the mightier win over a change of power levels by the banned', async () => {
      const ban = r.member(ALICE, 'ban', BOB, left);
      r.levels(levels(r, { [BOB]: 50, [CAROL]: 50 }), BOB, right);
      const resolved = await resolve(r, left, right);
      expect(resolved.get(memberKey(BOB))).toBe(ban);
      expect(resolved.get(LEVELS)).toBe(r.state.get(LEVELS));
    });

    it('lets the change of power levels by the mightier come first', async () => {
      const demotion = r.levels(levels(r, {}), ALICE, left);
      r.levels(levels(r, { [BOB]: 50, [CAROL]: 50 }), BOB, right);
      expect((await resolve(r, left, right)).get(LEVELS)).toBe(demotion);
      r.member(BOB, 'ban', CAROL, right);
      expect((await resolve(r, left, right)).has(memberKey(CAROL))).toBeFalse();
    });

    it('refuses a topic of somebody who lost the power for it meanwhile', async () => {
      r.levels(levels(r, {}), ALICE, left);
      r.add(topic(BOB, 'too late'), right);
      expect((await resolve(r, left, right)).has(TOPIC)).toBeFalse();
    });

    it('prefers the topic that rests on the newer power levels, whatever the clocks say', async () => {
      r.member(CAROL, 'join', CAROL, left);
      r.member(CAROL, 'join', CAROL, right);
      r.levels(levels(r, { [BOB]: 50, [CAROL]: 50 }), ALICE, left);
      const newer = r.add(topic(CAROL, 'newer', { origin_server_ts: 1 }), left);
      r.add(topic(BOB, 'older', { origin_server_ts: 2_000_000_000_000 }), right);
      expect((await resolve(r, left, right)).get(TOPIC)).toBe(newer);
    });

    it('prefers the later one when the powers are equal', async () => {
      const later = r.add(topic(ALICE, 'a', { origin_server_ts: 2_000_000_000_000 }), left);
      r.add(topic(BOB, 'b', { origin_server_ts: 1_900_000_000_000 }), right);
      expect((await resolve(r, left, right)).get(TOPIC)).toBe(later);
      const rule = (which: string, origin_server_ts: number, state: State): string =>
        r.add(
          { type: 'm.room.join_rules', sender: ALICE, state_key: '', content: { join_rule: which }, origin_server_ts },
          state,
        );
      const last = rule('invite', 2_000_000_000_000, right);
      rule('knock', 1_900_000_000_000, left);
      expect((await resolve(r, left, right)).get(JOIN_RULES)).toBe(last);
    });

    it('goes by the ids in the end, compared by code points', async () => {
      const ids = ['a', 'b', 'c', 'd'].map((text) => r.add(topic(ALICE, text, { origin_server_ts: 5 }), new Map(left)));
      const states = ids.map((id): State => new Map([...left, [TOPIC, id]]));
      const greatest = ids.sort((a, b) => (a < b ? -1 : 1)).at(-1);
      expect((await resolve(r, ...states)).get(TOPIC)).toBe(greatest ?? '');
    });

    it('refuses a join that the join rules no longer allow', async () => {
      const closed = r.joinRule('invite', left);
      r.member(CAROL, 'join', CAROL, right);
      const resolved = await resolve(r, left, right);
      expect(resolved.get(JOIN_RULES)).toBe(closed);
      expect(resolved.has(memberKey(CAROL))).toBeFalse();
    });

    it('keeps both of two who joined at the same time', async () => {
      const dora = '@dora:other.example';
      const first = r.member(CAROL, 'join', CAROL, left);
      const second = r.member(dora, 'join', dora, right);
      const resolved = await resolve(r, left, right);
      expect([resolved.get(memberKey(CAROL)), resolved.get(memberKey(dora))]).toEqual([first, second]);
    });

    it('lets nobody back in by a join from before the removal', async () => {
      const kick = r.member(ALICE, 'leave', BOB, left);
      r.joinRule('invite', left);
      r.member(BOB, 'join', BOB, right);
      expect((await resolve(r, left, right)).get(memberKey(BOB))).toBe(kick);
    });

    it('lets what somebody did before leaving stand, but not what somebody did who was removed', async () => {
      const done = r.add(topic(BOB, 'bye'), right);
      const departed = new Map(left);
      const leave = r.member(BOB, 'leave', BOB, departed);
      const resolved = await resolve(r, departed, right);
      expect([resolved.get(TOPIC), resolved.get(memberKey(BOB))]).toEqual([done, leave]);
      r.member(ALICE, 'leave', BOB, left);
      expect((await resolve(r, left, right)).has(TOPIC)).toBeFalse();
    });

    it('looks at the steps that led to a state although the state no longer shows them', async () => {
      r.levels(levels(r, { [BOB]: 70 }), ALICE, right);
      const last = r.levels(levels(r, { [BOB]: 70, [CAROL]: 60 }), BOB, right);
      expect((await resolve(r, left, right)).get(LEVELS)).toBe(last);
    });

    it('lets an event that decides about power come after the join that it rests on', async () => {
      r.member(ALICE, 'leave', BOB, left);
      const again = r.member(BOB, 'join', BOB, right);
      const rule = r.add(
        { type: 'm.room.join_rules', sender: BOB, state_key: '', content: { join_rule: 'knock' } },
        right,
      );
      const resolved = await resolve(r, left, right);
      expect([resolved.get(memberKey(BOB)), resolved.get(JOIN_RULES)]).toEqual([again, rule]);
    });

    it('leaves out rejected and unknown events', async () => {
      const bad = r.add(topic(BOB, 'rejected'), left);
      right.set(TOPIC, '$unknown');
      expect((await resolve(r, left, right)).get(TOPIC)).toBe(bad);
      r.rejected.add(bad);
      expect((await resolve(r, left, right)).has(TOPIC)).toBeFalse();
    });

    it('does not let a rejected auth event give power', async () => {
      const state = new Map(left);
      const forged = r.levels(levels(r, { [BOB]: 50, [CAROL]: 100 }), BOB, state);
      r.rejected.add(forged);
      r.member(CAROL, 'join', CAROL, state);
      right.set(memberKey(CAROL), state.get(memberKey(CAROL)) ?? '');
      const claimed = r.add(topic(CAROL, 'mine'), state);
      right.set(TOPIC, claimed);
      const resolved = await resolve(r, left, right);
      expect(resolved.has(TOPIC)).toBeFalse();
      expect(resolved.get(LEVELS)).toBe(r.state.get(LEVELS));
    });
  });
}

describe('what version 2.1 of state resolution mends', () => {
  it('is that old state is lost because its sender has left the room since', async () => {
    const outcome: Record<string, string> = {};
    for (const versionId of ['11', '12']) {
      const r = room(versionId);
      const older = r.joinRule('invite');
      const newer = r.joinRule('knock');
      r.member(ALICE, 'leave');
      const resolved = await resolve(r, new Map([...r.state, [JOIN_RULES, older]]), new Map(r.state));
      const kept = resolved.get(JOIN_RULES);
      outcome[versionId] = kept === newer ? 'newer' : kept === older ? 'older' : 'lost';
    }
    expect(outcome).toEqual({ '11': 'lost', '12': 'newer' });
  });

  it('is that power levels fall back because the step between two of them is not looked at', async () => {
    const outcome: Record<string, string> = {};
    for (const versionId of ['11', '12']) {
      const r = new TestRoom(versionId);
      r.member(ALICE, 'join');
      const first = r.levels(levels(r, {}));
      r.joinRule('public');
      r.member(BOB, 'join');
      r.levels(levels(r, { [BOB]: 50 }));
      // Rests on the second power levels and is in both states, so that those are in the auth chains of both.
      r.member(CAROL, 'join');
      const third = r.levels(levels(r, { [BOB]: 50, [CAROL]: 10 }), BOB);
      const resolved = await resolve(r, new Map([...r.state, [LEVELS, first]]), new Map(r.state));
      const kept = resolved.get(LEVELS);
      outcome[versionId] = kept === third ? 'third' : kept === first ? 'first' : 'lost';
    }
    expect(outcome).toEqual({ '11': 'first', '12': 'third' });
  });
});

describe('the graph of auth events', () => {
  it('finds the chain of an event, without it', async () => {
    const r = room('12');
    const id = r.add(topic(BOB, 'x'));
    const chain = await new AuthGraph(storeOf(r)).chainOf([id]);
    const types = [...chain].map((authId) => r.event(authId).type).sort();
    expect(types).toEqual(['m.room.join_rules', 'm.room.member', 'm.room.member', 'm.room.power_levels']);
    expect(chain.has(id)).toBeFalse();
  });

  it('finds what lies between events', async () => {
    const r = new TestRoom('12');
    r.member(ALICE, 'join');
    const ids = [0, 1, 2, 3].map((ban) => r.levels({ ban }));
    const between = await new AuthGraph(storeOf(r)).subgraphBetween(new Set([ids[1] ?? '', ids[3] ?? '']));
    expect([...between].sort()).toEqual(ids.slice(1).sort());
  });

  it('gives up before somebody keeps us busy with a graph without end', async () => {
    const r = new TestRoom('12');
    r.member(ALICE, 'join');
    const last = Array.from({ length: 50 }, (_, ban) => r.levels({ ban })).at(-1) ?? '';
    expect((await new AuthGraph(storeOf(r), 60).chainOf([last])).size).toBe(50);
    const error = await rejection(new AuthGraph(storeOf(r), 40).chainOf([last]));
    expect(error).toBeInstanceOf(StateResolutionError);
  });

  it('gets along with thousands of events without filling the stack', async () => {
    const r = new TestRoom('11');
    r.member(ALICE, 'join');
    r.levels({ users: { [ALICE]: 100 } });
    const left = new Map(r.state);
    for (let ban = 0; ban < 3000; ban++) r.levels({ users: { [ALICE]: 100 }, ban: ban % 100 });
    const last = r.levels({ users: { [ALICE]: 100 }, kick: 1 });
    expect((await resolveState(r.version, [left, r.state], storeOf(r))).get(LEVELS)).toBe(last);
  });
});

import { AuthError, checkAuthEventsSelection, stateViewOf } from '../../federation/auth-rules.ts';
import { eventId } from '../../federation/event.ts';
import type { Pdu } from '../../federation/event.ts';
import type { JsonObject, JsonValue } from '../../federation/json.ts';
import { createSigningKey, generateSeed, signJson } from '../../federation/signing.ts';
import { ALICE, BOB, CAROL, MALLORY, TestRoom, verdictOf } from './test-room.ts';
import type { Draft } from './test-room.ts';

/** A room with Alice (creator), Bob (level 50) and Carol (level 0) in it; Mallory is outside. */
function room(versionId = '12', levels: Record<string, JsonValue> = {}, rule = 'invite', create: JsonObject = {}) {
  const made = new TestRoom(versionId, create);
  made.member(ALICE, 'join');
  const users: JsonObject = made.version.privilegedCreators ? { [BOB]: 50 } : { [ALICE]: 100, [BOB]: 50 };
  made.levels({ users, ...levels });
  made.joinRule('public');
  made.member(BOB, 'join');
  made.member(CAROL, 'join');
  if (rule !== 'public') made.joinRule(rule);
  return made;
}

function membership(sender: string, value: string, target = sender, more: JsonObject = {}): Draft {
  return { type: 'm.room.member', sender, state_key: target, content: { membership: value, ...more } };
}

function levels(sender: string, content: JsonObject): Draft {
  return { type: 'm.room.power_levels', sender, state_key: '', content };
}

describe('the auth rules for messages and state', () => {
  it('let a member send a message, and nobody else', () => {
    const r = room();
    expect(r.verdict({ type: 'm.room.message', sender: CAROL })).toBe('allowed');
    expect(r.verdict({ type: 'm.room.message', sender: MALLORY })).toMatch(/not in the room/);
    r.member(ALICE, 'ban', CAROL);
    expect(r.verdict({ type: 'm.room.message', sender: CAROL })).toMatch(/not in the room/);
  });

  it('an unauthorised state event is refused: the sender lacks the power', () => {
    for (const id of ['6', '10', '11', '12']) {
      const r = room(id);
      const topic = { type: 'm.room.topic', state_key: '', content: { topic: 'mine now' } };
      expect(r.verdict({ ...topic, sender: CAROL }))
        .withContext(id)
        .toMatch(/needs power level 50/);
      expect(r.verdict({ ...topic, sender: MALLORY }))
        .withContext(id)
        .toMatch(/not in the room/);
      expect(r.verdict({ ...topic, sender: BOB }))
        .withContext(id)
        .toBe('allowed');
    }
  });

  it('go by the level of the event type before the default', () => {
    const r = room('12', { events: { 'org.example.open': 0, 'org.example.high': 60 }, events_default: 10 });
    expect(r.verdict({ type: 'org.example.open', sender: CAROL, state_key: '' })).toBe('allowed');
    expect(r.verdict({ type: 'org.example.high', sender: BOB })).toMatch(/needs power level 60/);
    expect(r.verdict({ type: 'm.room.message', sender: CAROL })).toMatch(/needs power level 10/);
  });

  it('reserve a state key that is a user id for that user, whatever the power of others', () => {
    const r = room('12', { events: { 'org.example.own': 0 } });
    expect(r.verdict({ type: 'org.example.own', sender: CAROL, state_key: CAROL })).toBe('allowed');
    expect(r.verdict({ type: 'org.example.own', sender: CAROL, state_key: ALICE })).toMatch(/be the sender/);
    expect(r.verdict({ type: 'org.example.own', sender: ALICE, state_key: CAROL })).toMatch(/be the sender/);
    expect(r.verdict({ type: 'org.example.own', sender: CAROL, state_key: `_${CAROL}_PHONE` })).toBe('allowed');
  });

  it('with owned state, leave state keys that begin with a user id to that user and to those with more power', () => {
    const r = room('org.matrix.msc3757.10', { events: { 'org.example.own': 0 } });
    const set = (sender: string, key: string): string => r.verdict({ type: 'org.example.own', sender, state_key: key });
    for (const key of [CAROL, `${CAROL}_phone:!@#$1`]) {
      expect(set(CAROL, key)).toBe('allowed');
      expect(set(BOB, key)).toBe('allowed');
    }
    expect(set(ALICE, '@nobody:elsewhere.example')).toBe('allowed');
    expect(set(CAROL, MALLORY)).toMatch(/only @mallory/i);
    for (const key of [BOB, `${BOB}_phone`, `${CAROL}phone`, `@prefix_${CAROL}_phone`]) {
      expect(set(CAROL, key)).withContext(key).not.toBe('allowed');
    }
    for (const key of ['@oops', `${ALICE}@phone_1`, '@', '@_:']) {
      expect(set(ALICE, key))
        .withContext(key)
        .toMatch(/must be a user id/);
    }
  });

  it('are not led astray by names that JavaScript objects inherit', () => {
    const r = room('10');
    for (const type of ['constructor', '__proto__', 'toString']) {
      expect(r.verdict({ type, sender: CAROL, state_key: '' }))
        .withContext(type)
        .toMatch(/needs power level 50/);
    }
  });

  it('keep other servers out of a room that does not federate', () => {
    const r = room('12', {}, 'public', { 'm.federate': false });
    expect(r.verdict(membership(MALLORY, 'join'))).toMatch(/does not federate/);
    expect(r.verdict(membership('@dora:hs.example', 'join'))).toBe('allowed');
  });

  it('refuse an event of another room', () => {
    const r = room();
    const other = `!${'B'.repeat(43)}`;
    expect(r.verdict({ type: 'm.room.message', sender: CAROL, room_id: other })).toMatch(/another room/);
  });

  it('refuse everything in a room without an accepted create event', () => {
    const r = room();
    const message = r.make({ type: 'm.room.message', sender: CAROL });
    const others = [...r.events.values()].filter((event) => event.type !== 'm.room.create');
    expect(verdictOf(message, r.version, stateViewOf(others))).toMatch(/no create event/);
  });
});

describe('the auth rules for the create event', () => {
  function verdict(versionId: string, changes: JsonObject): string {
    const { create, version } = new TestRoom(versionId);
    return verdictOf({ ...create, ...changes } as unknown as Pdu, version, stateViewOf([]));
  }

  it('accept a plain one of every version', () => {
    for (const id of ['6', '7', '8', '9', '10', '11', '12']) expect(verdict(id, {})).withContext(id).toBe('allowed');
  });

  it('refuse a malformed one', () => {
    const bad: [versionId: string, changes: JsonObject][] = [
      ['12', { prev_events: ['$x'] }],
      ['12', { room_id: `!${'A'.repeat(43)}` }],
      ['12', { state_key: 'x' }],
      ['12', { content: { room_version: '11' } }],
      ['12', { content: { room_version: '12', additional_creators: 'bob' } }],
      ['12', { content: { room_version: '12', additional_creators: [BOB, 'bob'] } }],
      ['12', { content: { room_version: '12', additional_creators: [BOB, 1] } }],
      ['11', { room_id: '!room:other.example' }],
      ['10', { content: { room_version: '10' } }],
    ];
    for (const [id, changes] of bad) {
      expect(verdict(id, changes))
        .withContext(`${id} ${JSON.stringify(changes)}`)
        .not.toBe('allowed');
    }
  });
});

describe('the auth rules for joining', () => {
  it('let the creator in right after the create event, and nobody else', () => {
    for (const id of ['6', '11', '12']) {
      const r = new TestRoom(id);
      expect(r.verdict(membership(ALICE, 'join')))
        .withContext(id)
        .toBe('allowed');
      expect(r.verdict(membership(BOB, 'join')))
        .withContext(id)
        .toMatch(/not invited/);
      const late = { ...membership(ALICE, 'join'), prev_events: ['$other'] };
      expect(r.verdict(late))
        .withContext(id)
        .toMatch(/not invited/);
    }
  });

  it('let only the first creator of version 12 in without an invitation', () => {
    const r = new TestRoom('12', { additional_creators: [BOB] });
    expect(r.verdict(membership(BOB, 'join'))).toMatch(/not invited/);
  });

  it('want an invitation unless the room is public', () => {
    const r = room();
    expect(r.verdict(membership(MALLORY, 'join'))).toMatch(/not invited/);
    r.member(ALICE, 'invite', MALLORY);
    expect(r.verdict(membership(MALLORY, 'join'))).toBe('allowed');
    expect(room('12', {}, 'public').verdict(membership(MALLORY, 'join'))).toBe('allowed');
    expect(room('12', {}, 'private').verdict(membership(MALLORY, 'join'))).toMatch(/does not allow joining/);
  });

  it('do not let anybody join for somebody else, nor a banned user', () => {
    const r = room('12', {}, 'public');
    expect(r.verdict(membership(ALICE, 'join', MALLORY))).toMatch(/for themselves/);
    r.member(ALICE, 'ban', MALLORY);
    expect(r.verdict(membership(MALLORY, 'join'))).toMatch(/banned/);
  });

  it('refuse a membership that they do not know', () => {
    expect(room().verdict(membership(CAROL, 'king'))).toMatch(/unknown/);
    expect(room('6').verdict(membership(MALLORY, 'knock'))).toMatch(/unknown/);
    expect(room().verdict({ type: 'm.room.member', sender: CAROL, state_key: CAROL })).toMatch(/missing/);
    expect(room().verdict({ type: 'm.room.member', sender: CAROL, content: { membership: 'join' } })).toMatch(
      /state key/,
    );
  });

  it('let somebody into a restricted room whom a member with the power to invite vouches for', () => {
    const r = room('12', { invite: 50 }, 'restricted');
    const vouched = (by: JsonValue): string =>
      r.verdict(membership(MALLORY, 'join', MALLORY, { join_authorised_via_users_server: by }));
    expect(vouched(BOB)).toBe('allowed');
    expect(vouched(ALICE)).toBe('allowed');
    expect(vouched(CAROL)).toMatch(/may not invite/);
    expect(vouched('@nobody:hs.example')).toMatch(/not in the room/);
    expect(vouched(MALLORY)).toMatch(/not in the room/);
    expect(vouched(1)).toMatch(/no join_authorised/);
    expect(r.verdict(membership(MALLORY, 'join'))).toMatch(/no join_authorised/);
    r.member(ALICE, 'invite', MALLORY);
    expect(r.verdict(membership(MALLORY, 'join'))).toBe('allowed');
  });

  it('know restricted rooms from version 8 and knock_restricted from version 10 on', () => {
    const vouched = membership(MALLORY, 'join', MALLORY, { join_authorised_via_users_server: ALICE });
    expect(room('7', {}, 'restricted').verdict(vouched)).toMatch(/does not allow joining/);
    expect(room('8', {}, 'restricted').verdict(vouched)).toBe('allowed');
    expect(room('9', {}, 'knock_restricted').verdict(vouched)).toMatch(/does not allow joining/);
    expect(room('10', {}, 'knock_restricted').verdict(vouched)).toBe('allowed');
  });
});

describe('the auth rules for invitations, knocks, removals and bans', () => {
  it('let a member with the power invite somebody who is neither in the room nor banned', () => {
    const r = room('12', { invite: 50 });
    expect(r.verdict(membership(BOB, 'invite', MALLORY))).toBe('allowed');
    expect(r.verdict(membership(CAROL, 'invite', MALLORY))).toMatch(/may not invite/);
    expect(r.verdict(membership(MALLORY, 'invite', MALLORY))).toMatch(/not in the room/);
    expect(r.verdict(membership(BOB, 'invite', CAROL))).toMatch(/is join/);
    r.member(ALICE, 'ban', MALLORY);
    expect(r.verdict(membership(BOB, 'invite', MALLORY))).toMatch(/is ban/);
  });

  it('let everybody knock for himself where the join rule says so', () => {
    const r = room('12', {}, 'knock');
    expect(r.verdict(membership(MALLORY, 'knock'))).toBe('allowed');
    expect(r.verdict(membership(CAROL, 'knock', MALLORY))).toMatch(/for themselves/);
    expect(r.verdict(membership(CAROL, 'knock'))).toMatch(/cannot knock/);
    expect(room('12', {}, 'knock_restricted').verdict(membership(MALLORY, 'knock'))).toBe('allowed');
    expect(room('9', {}, 'knock_restricted').verdict(membership(MALLORY, 'knock'))).toMatch(/does not allow knocking/);
    expect(room().verdict(membership(MALLORY, 'knock'))).toMatch(/does not allow knocking/);
    r.member(MALLORY, 'knock');
    expect(r.verdict(membership(MALLORY, 'join'))).toMatch(/not invited/);
    expect(r.verdict(membership(MALLORY, 'leave'))).toBe('allowed');
  });

  it('let people leave, but not lift their own ban', () => {
    const r = room();
    expect(r.verdict(membership(CAROL, 'leave'))).toBe('allowed');
    expect(r.verdict(membership(MALLORY, 'leave'))).toMatch(/cannot leave/);
    r.member(ALICE, 'ban', CAROL);
    expect(r.verdict(membership(CAROL, 'leave'))).toMatch(/cannot leave/);
  });

  it('let nobody remove or ban a user of the same or a higher level', () => {
    const r = room('10', { users: { [ALICE]: 100, [BOB]: 50, [CAROL]: 50 } });
    for (const what of ['leave', 'ban']) {
      expect(r.verdict(membership(BOB, what, ALICE)))
        .withContext(what)
        .toMatch(/not below/);
      expect(r.verdict(membership(BOB, what, CAROL)))
        .withContext(what)
        .toMatch(/not below/);
      expect(r.verdict(membership(ALICE, what, CAROL)))
        .withContext(what)
        .toBe('allowed');
      expect(r.verdict(membership(MALLORY, what, CAROL)))
        .withContext(what)
        .toMatch(/not in the room/);
    }
    expect(room().verdict(membership(CAROL, 'leave', MALLORY))).toMatch(/may not kick/);
    expect(room().verdict(membership(CAROL, 'ban', MALLORY))).toMatch(/may not ban/);
  });

  it('need the levels ban and kick for an unban', () => {
    const users = { [ALICE]: 100, [BOB]: 50 };
    for (const [ban, kick, verdict] of [
      [50, 50, /allowed/],
      [60, 50, /may not unban/],
      [50, 60, /may not kick/],
    ] as const) {
      const r = room('10', { users, ban, kick });
      r.member(ALICE, 'ban', MALLORY);
      expect(r.verdict(membership(BOB, 'leave', MALLORY))).toMatch(verdict);
    }
  });

  describe('by third-party id', () => {
    const key = createSigningKey(generateSeed(), '0');
    const other = createSigningKey(generateSeed(), '0');

    function invited(changes: JsonObject = {}, signer = key, sender = BOB): string {
      const r = room();
      r.add({
        type: 'm.room.third_party_invite',
        sender: BOB,
        state_key: 'token',
        content: { display_name: 'm', public_key: key.publicKey },
      });
      const signed = { ...signJson({ mxid: MALLORY, token: 'token' }, 'id.example', signer), ...changes };
      return r.verdict(membership(sender, 'invite', MALLORY, { third_party_invite: { display_name: 'm', signed } }));
    }

    it('want a good signature over the invited user, by a key of the invitation, from who made it', () => {
      expect(invited()).toBe('allowed');
      expect(invited({}, other)).toMatch(/No signature/);
      expect(invited({ mxid: CAROL })).toMatch(/for another user/);
      expect(invited({ token: 'other' })).toMatch(/no matching/);
      expect(invited({ extra: 1 })).toMatch(/No signature/);
      expect(invited({ signatures: 1 })).toMatch(/No signature/);
      expect(invited({}, key, ALICE)).toMatch(/sent by another user/);
    });
  });
});

describe('the auth rules for power levels', () => {
  const base = { users: { [ALICE]: 100, [BOB]: 50 } };

  it('let a user give what he has and no more', () => {
    const r = room('10');
    expect(r.verdict(levels(BOB, { users: { ...base.users, [CAROL]: 50 } }))).toBe('allowed');
    expect(r.verdict(levels(BOB, { users: { ...base.users, [CAROL]: 51 } }))).toMatch(/above their own/);
    expect(r.verdict(levels(BOB, { users: { ...base.users, [BOB]: 100 } }))).toMatch(/above their own/);
    expect(r.verdict(levels(BOB, { users: { [ALICE]: 100, [BOB]: 0 } }))).toBe('allowed');
    expect(r.verdict(levels(CAROL, base))).toMatch(/needs power level 50/);
  });

  it('let nobody take power from a user of the same or a higher level', () => {
    const r = room('10', { users: { ...base.users, [CAROL]: 50 } });
    expect(r.verdict(levels(BOB, { users: { [ALICE]: 100, [BOB]: 50 } }))).toMatch(/not below/);
    expect(r.verdict(levels(BOB, { users: { [ALICE]: 100, [BOB]: 50, [CAROL]: 0 } }))).toMatch(/not below/);
    expect(r.verdict(levels(BOB, { users: { [BOB]: 50, [CAROL]: 50 } }))).toMatch(/not below/);
    expect(r.verdict(levels(ALICE, base))).toBe('allowed');
  });

  it('compare every single level, old and new, with that of the sender', () => {
    for (const name of ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite']) {
      expect(room('10').verdict(levels(BOB, { ...base, [name]: 51 })))
        .withContext(name)
        .toMatch(/above/);
      expect(room('10').verdict(levels(BOB, { ...base, [name]: 50 })))
        .withContext(name)
        .toBe('allowed');
      // Lowered or removed by somebody below it. A state_default of 51 would already stop the event itself.
      if (name === 'state_default' || name === 'users_default') continue;
      const high = room('10', { [name]: 51 });
      expect(high.verdict(levels(BOB, { ...base, [name]: 0 })))
        .withContext(name)
        .toMatch(/above/);
      expect(high.verdict(levels(BOB, base)))
        .withContext(name)
        .toMatch(/above/);
    }
    for (const name of ['events', 'notifications']) {
      const high = room('10', { [name]: { x: 51, y: 10 } });
      expect(high.verdict(levels(BOB, { ...base, [name]: { x: 51, y: 50 } })))
        .withContext(name)
        .toBe('allowed');
      expect(high.verdict(levels(BOB, { ...base, [name]: { x: 51, y: 51 } })))
        .withContext(name)
        .toMatch(/above/);
      expect(high.verdict(levels(BOB, { ...base, [name]: { x: 0, y: 10 } })))
        .withContext(name)
        .toMatch(/above/);
      expect(high.verdict(levels(BOB, base)))
        .withContext(name)
        .toMatch(/above/);
    }
  });

  it('want integers from version 10 on and read digits before', () => {
    for (const bad of ['50', null, true, {}, [50]] as JsonValue[]) {
      const context = JSON.stringify(bad);
      expect(room('10').verdict(levels(ALICE, { ...base, ban: bad })))
        .withContext(context)
        .toMatch(/not an integer/);
      const users = { [ALICE]: 100, [BOB]: bad };
      expect(room('10').verdict(levels(ALICE, { users })))
        .withContext(context)
        .toMatch(/not integers/);
    }
    expect(room('9').verdict(levels(ALICE, { ...base, ban: ' 50 ' }))).toBe('allowed');
    expect(room('9').verdict(levels(ALICE, { ...base, ban: '50x' }))).toMatch(/not an integer/);
    expect(room('12').verdict(levels(ALICE, { users: { 'not a user': 1 } }))).toMatch(/not a user id/);
    expect(room('12').verdict(levels(ALICE, { users: [] }))).toMatch(/not integers/);
  });

  it('give the creator of an older room level 100 until there are power levels', () => {
    const r = new TestRoom('10');
    r.member(ALICE, 'join');
    expect(r.verdict(levels(ALICE, base))).toBe('allowed');
    expect(r.verdict({ type: 'm.room.name', sender: ALICE, state_key: '' })).toBe('allowed');
  });
});

describe('the creators of a version 12 room', () => {
  function withTwoCreators(): TestRoom {
    return room('12', { users: { [CAROL]: 1_000 } }, 'invite', { additional_creators: [BOB] });
  }

  it('are above every level, both of them', () => {
    const r = withTwoCreators();
    r.add({ type: 'm.room.power_levels', sender: ALICE, state_key: '', content: { state_default: 1_000_000 } });
    for (const sender of [ALICE, BOB]) {
      expect(r.verdict({ type: 'm.room.name', sender, state_key: '' }))
        .withContext(sender)
        .toBe('allowed');
      expect(r.verdict(membership(sender, 'leave', CAROL)))
        .withContext(sender)
        .toBe('allowed');
    }
    expect(r.verdict({ type: 'm.room.name', sender: CAROL, state_key: '' })).toMatch(/needs power level/);
  });

  it('can not be removed, banned or demoted, not even by each other', () => {
    const r = withTwoCreators();
    expect(r.verdict(membership(CAROL, 'ban', ALICE))).toMatch(/not below/);
    expect(r.verdict(membership(BOB, 'leave', ALICE))).toMatch(/not below/);
    expect(r.verdict(membership(ALICE, 'ban', BOB))).toMatch(/not below/);
    expect(r.verdict(levels(CAROL, { users: { [CAROL]: 1_000, [ALICE]: 0 } }))).toMatch(/creator/);
    expect(r.verdict(levels(ALICE, { users: { [BOB]: 100 } }))).toMatch(/creator/);
  });

  it('have no such power in older rooms, where additional_creators means nothing', () => {
    const r = room('11', { users: { [ALICE]: 0, [CAROL]: 100 } }, 'invite', { additional_creators: [BOB] });
    expect(r.verdict({ type: 'm.room.name', sender: BOB, state_key: '' })).toMatch(/needs power level/);
    expect(r.verdict(membership(CAROL, 'ban', ALICE))).toBe('allowed');
  });
});

describe('the selection of auth events', () => {
  function selected(r: TestRoom, pdu: Pdu, known: Iterable<string> = r.events.keys()): string {
    try {
      checkAuthEventsSelection(
        pdu,
        r.version,
        [...known].map((id) => ({ eventId: id, event: r.event(id), rejected: r.rejected.has(id) })),
      );
      return 'allowed';
    } catch (error) {
      if (error instanceof AuthError) return error.message;
      throw error;
    }
  }

  const message = { type: 'm.room.message', sender: CAROL };

  it('accepts what the room version wants', () => {
    for (const id of ['6', '11', '12']) {
      const r = room(id);
      for (const draft of [message, membership(CAROL, 'leave'), membership(BOB, 'invite', MALLORY)]) {
        expect(selected(r, r.make(draft)))
          .withContext(id)
          .toBe('allowed');
      }
      expect(selected(r, r.create)).toBe('allowed');
    }
  });

  it('refuses an auth event that is missing', () => {
    const r = room();
    const pdu = r.make(message);
    const known = [...r.events.keys()].filter((id) => id !== pdu.auth_events[0]);
    expect(selected(r, pdu, known)).toMatch(/missing/);
  });

  it('refuses two auth events for the same state, and the same one twice', () => {
    const r = room();
    const old = r.make(message).auth_events;
    r.member(CAROL, 'join');
    const fresh = r.make(message).auth_events;
    expect(selected(r, r.make({ ...message, auth_events: [...new Set([...old, ...fresh])] }))).toMatch(/two auth/);
    expect(selected(r, r.make({ ...message, auth_events: [...fresh, ...fresh] }))).toMatch(/two auth/);
  });

  it('refuses auth events that have nothing to do with the event', () => {
    const r = room();
    const own = r.make(message).auth_events;
    const topic = r.add({ type: 'm.room.topic', sender: ALICE, state_key: '' });
    const chat = r.add({ type: 'm.room.message', sender: ALICE });
    const bob = r.make({ ...message, sender: BOB }).auth_events;
    expect(selected(r, r.make({ ...message, auth_events: [...own, topic] }))).toMatch(/not in the selection/);
    expect(selected(r, r.make({ ...message, auth_events: [...own, chat] }))).toMatch(/not in the selection/);
    expect(selected(r, r.make({ ...message, auth_events: [...new Set([...own, ...bob])] }))).toMatch(
      /not in the selection/,
    );
  });

  it('refuses the create event among them in version 12, and wants it before', () => {
    const r = room('12');
    const own = r.make(message).auth_events;
    expect(selected(r, r.make({ ...message, auth_events: [r.createId, ...own] }))).toMatch(/not in the selection/);
    const before = room('11');
    const without = before.make(message).auth_events.filter((id) => id !== before.createId);
    expect(selected(before, before.make({ ...message, auth_events: without }))).toMatch(/create event/);
  });

  it('refuses an auth event of another room', () => {
    const r = room();
    const foreign = room('12', {}, 'invite', { name: 'another' });
    const pdu = r.make({ ...message, auth_events: foreign.make(message).auth_events });
    for (const [id, event] of foreign.events) r.events.set(id, event);
    expect(selected(r, pdu)).toMatch(/another room/);
  });

  it('refuses an event that rests on a rejected one', () => {
    const r = room();
    const pdu = r.make(message);
    r.rejected.add(pdu.auth_events[1] ?? '');
    expect(selected(r, pdu)).toMatch(/was rejected/);
  });

  it('refuses auth events of a create event', () => {
    const r = room();
    const create = { ...r.create, auth_events: [eventId(r.create, r.version)] } as Pdu;
    expect(selected(r, create)).toMatch(/has auth events/);
  });
});

/** Who may do what in a meeting, in rooms of a real homeserver. */
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../federation/json.ts';
import { powerLevels } from '../../federation/power-levels.ts';
import { type Right, rightSchema, type Role, roleSchema } from '../../protocol/rights.ts';
import { MatrixError } from '../../homeserver/base/errors.ts';
import type { NewEvent } from '../../homeserver/engine/rooms/rooms.ts';
import type { Meetings } from '../../homeserver/meetings/meetings.ts';
import { Rights } from '../../homeserver/meetings/rights.ts';
import type { ServiceUser } from '../../homeserver/meetings/service-user.ts';
import type { Person, TestServer } from '../messages/support.ts';
import { EVERYTHING } from '../support/rights.ts';
import { startMeetings } from './support.ts';

/** The rows of the table in docs/use.md. */
const ROWS: Readonly<Record<Right, string>> = {
  invite: 'Invite people, make and end guest links',
  admit: 'Admit or refuse people who wait',
  mute: 'Mute others',
  'camera-off': 'Switch off the cameras of others',
  'stop-share': 'End what others share',
  'ask-unmute': 'Ask others to turn on their microphones',
  'rename-others': 'Rename guests',
  remove: 'Remove others, send them back to the waiting room',
  ban: 'Ban others from the meeting',
  end: 'End the meeting for guests, for all but those who lead it, for everybody',
  appoint: 'Give roles',
  'set-rules': 'Change the rules of the meeting',
  'read-log': 'Read the log of the meeting',
  'shut-out': 'Shut an organisation out',
  'lower-hands': 'Lower the hands of others',
  'switch-hands': 'Switch raising hands on and off',
  'switch-reactions': 'Switch reactions on and off',
};
const STEPS = 150;

/** The tables in docs/use.md: the cells of each row by the first one. */
const rows = new Map(
  readFileSync('docs/use.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, name = '', ...cells]) => [name, cells.slice(0, -1)]),
);
/** What moderators may do, as docs/use.md says. */
const OF_MODERATORS = rightSchema.options.filter(
  (right) => rows.get(ROWS[right])?.[roleSchema.options.indexOf('moderator')] === 'yes',
);

const FORBIDDEN = jasmine.objectContaining({ status: 403 });

describe('Roles: who may do what in a meeting', () => {
  let server: TestServer;
  let service: ServiceUser;
  let rights: Rights;
  let meetings: Meetings;
  let count = 0;

  beforeAll(async () => {
    ({ server, service, rights, meetings } = await startMeetings());
  });
  afterAll(() => server.close());

  const somebody = (): Promise<Person> => server.person(`somebody-${String((count += 1))}`);

  interface Meeting {
    readonly roomId: string;
    /** Somebody in it for each role. */
    readonly ids: Readonly<Record<Role, string>>;
  }

  async function meeting(): Promise<Meeting> {
    const [owner, moderator, participant] = await Promise.all([somebody(), somebody(), somebody()]);
    const guest = await server.accounts.createGuest('Gast');
    const roomId = await meetings.create(owner.userId, { title: 'Deich' });
    await meetings.enter(owner.userId, roomId);
    const ids = { owner: owner.userId, moderator: moderator.userId, participant: participant.userId, guest };
    for (const userId of [ids.moderator, ids.participant, ids.guest]) await service.admit(roomId, userId);
    await setLevel(roomId, ids.owner, ids.moderator, 50);
    return { roomId, ids };
  }

  async function levelsOf(roomId: string): Promise<JsonObject & { users: Record<string, number> }> {
    const event = await server.rooms.stateEvent(roomId, 'm.room.power_levels', '');
    return event?.pdu.content as JsonObject & { users: Record<string, number> };
  }
  async function setLevels(roomId: string, sender: string, content: JsonObject): Promise<void> {
    await server.rooms.send(roomId, sender, { type: 'm.room.power_levels', stateKey: '', content });
  }
  async function setLevel(roomId: string, sender: string, userId: string, level: number): Promise<void> {
    const levels = await levelsOf(roomId);
    await setLevels(roomId, sender, { ...levels, users: { ...levels.users, [userId]: level } });
  }
  const setMember = (roomId: string, sender: string, userId: string, membership: string): Promise<unknown> =>
    server.rooms.send(roomId, sender, { type: 'm.room.member', stateKey: userId, content: { membership } });

  it('is as the table in docs/use.md says', async () => {
    const { roomId, ids } = await meeting();
    const inDocs = new Set([...rows].filter(([, cells]) => cells.includes('yes')).map(([name]) => name));
    expect([...inDocs].sort()).toEqual(Object.values(ROWS).sort());
    expect(rows.get('')?.map((cell) => cell.toLowerCase())).toEqual(roleSchema.options);
    const held = new Map<Role, Right[]>();
    for (const role of roleSchema.options) {
      expect(await rights.roleOf(roomId, ids[role])).toBe(role);
      held.set(role, await rights.all(roomId, ids[role]));
    }
    for (const right of rightSchema.options) {
      const said = roleSchema.options.map((role) => (held.get(role)?.includes(right) === true ? 'yes' : 'no'));
      expect(rows.get(ROWS[right])).withContext(right).toEqual(said);
    }
  });

  it('is asked by one right as by all of them, and what is refused says why', async () => {
    const { roomId, ids } = await meeting();
    for (const userId of Object.values(ids)) {
      const all = await rights.all(roomId, userId);
      for (const right of rightSchema.options) {
        expect(await rights.may(roomId, userId, right)).toBe(all.includes(right));
        const asked = expectAsync(rights.require(roomId, userId, right));
        if (all.includes(right)) await asked.toBeResolved();
        else await asked.toBeRejectedWith(FORBIDDEN);
      }
    }
    await expectAsync(rights.require(roomId, ids.participant, 'mute')).toBeRejectedWithError(
      MatrixError,
      'You may not mute others in this meeting.',
    );
    expect(await rights.all('!unknown:hamburg.example', ids.owner)).toEqual([]);
  });

  it('takes effect at once, and lets moderators appoint, but only owners demote', async () => {
    const { roomId, ids } = await meeting();
    await setLevel(roomId, ids.moderator, ids.participant, 50);
    expect(await rights.roleOf(roomId, ids.participant)).toBe('moderator');
    expect(await rights.all(roomId, ids.participant)).toEqual(OF_MODERATORS);
    for (const [sender, userId, level] of [
      [ids.moderator, ids.participant, 0],
      [ids.participant, ids.moderator, 0],
      [ids.moderator, ids.owner, 0],
      [ids.moderator, ids.guest, 100],
      [ids.moderator, ids.moderator, 100],
      [ids.guest, ids.guest, 50],
    ] as const) {
      await expectAsync(setLevel(roomId, sender, userId, level)).toBeRejectedWith(FORBIDDEN);
    }
    await setLevel(roomId, ids.owner, ids.participant, 0);
    expect(await rights.all(roomId, ids.participant)).toEqual([]);
    await setLevel(roomId, ids.owner, ids.moderator, 100);
    await expectAsync(setLevel(roomId, ids.owner, ids.moderator, 0)).toBeRejectedWith(FORBIDDEN);
    await expectAsync(setLevel(roomId, ids.moderator, ids.owner, 0)).toBeRejectedWith(FORBIDDEN);
  });

  it('keeps an owner in: moderators do not remove or ban one, nor shut out an organisation, nor end the meeting', async () => {
    const { roomId, ids } = await meeting();
    for (const membership of ['leave', 'ban']) {
      await expectAsync(setMember(roomId, ids.moderator, ids.owner, membership)).toBeRejectedWith(FORBIDDEN);
    }
    const lasting: NewEvent[] = [
      { type: 'm.room.server_acl', stateKey: '', content: { allow: ['*'], deny: ['luebeck.example'] } },
      { type: 'm.room.tombstone', stateKey: '', content: { body: 'x', replacement_room: '!x' } },
    ];
    for (const event of lasting) {
      await expectAsync(server.rooms.send(roomId, ids.moderator, event)).toBeRejectedWith(FORBIDDEN);
      await expectAsync(server.rooms.send(roomId, ids.owner, event)).toBeResolved();
    }
  });

  it('removes nobody of the same or a higher role, but mutes everybody', async () => {
    const { roomId, ids } = await meeting();
    await setLevel(roomId, ids.owner, ids.participant, 50);
    const removes = async (userId: string, target: string): Promise<boolean> =>
      rights.may(roomId, userId, 'remove', target);
    expect(await removes(ids.moderator, ids.guest)).toBeTrue();
    expect(await removes(ids.moderator, ids.participant)).toBeFalse();
    expect(await removes(ids.moderator, ids.owner)).toBeFalse();
    expect(await removes(ids.owner, ids.moderator)).toBeTrue();
    expect(await removes(ids.guest, ids.guest)).toBeFalse();
    expect(await rights.may(roomId, ids.moderator, 'mute', ids.owner)).toBeTrue();
    await expectAsync(rights.require(roomId, ids.moderator, 'remove', ids.owner)).toBeRejectedWith(FORBIDDEN);
  });

  it('follows the room where it asks for other levels than ours', async () => {
    const { roomId, ids } = await meeting();
    const levels = await levelsOf(roomId);
    const events = { ...(levels['events'] as JsonObject), 'org.hansetag.setting.hands': 100 };
    await setLevels(roomId, ids.owner, { ...levels, kick: 100, invite: 0, events });
    expect(await rights.all(roomId, ids.moderator)).toEqual([
      'invite',
      'ban',
      'appoint',
      'set-rules',
      'switch-reactions',
    ]);
    expect(await rights.all(roomId, ids.participant)).toEqual(['invite']);
    // Guests open no doors to others, whatever the room says.
    expect(await rights.all(roomId, ids.guest)).toEqual([]);
  });

  it('is judged by the account, too: who is suspended or locked has none, a guest who moderates does not invite', async () => {
    const { roomId, ids } = await meeting();
    await setLevel(roomId, ids.owner, ids.guest, 50);
    expect(await rights.roleOf(roomId, ids.guest)).toBe('moderator');
    expect(await rights.all(roomId, ids.guest)).toEqual(OF_MODERATORS.filter((right) => right !== 'invite'));
    for (const [restriction, errcode] of [
      ['suspended', 'M_USER_SUSPENDED'],
      ['locked', 'M_USER_LOCKED'],
    ] as const) {
      await server.accounts.restrict(ids.owner, restriction, true);
      expect(await rights.all(roomId, ids.owner)).toEqual([]);
      await expectAsync(rights.require(roomId, ids.owner, 'mute')).toBeRejectedWith(
        jasmine.objectContaining({ status: 403, errcode }),
      );
      await expectAsync(rights.requireMake(ids.owner)).toBeRejectedWith(FORBIDDEN);
      await server.accounts.restrict(ids.owner, restriction, false);
      expect(await rights.all(roomId, ids.owner)).toEqual(rightSchema.options);
    }
    await expectAsync(rights.requireMake(ids.guest)).toBeRejectedWith(FORBIDDEN);
    await expectAsync(rights.requireMake(ids.participant)).toBeResolved();
  });

  it('is nothing for people of an organisation that is shut out, whatever their power', async () => {
    const shutOut = new Set<string>();
    const far = new Rights({
      serverName: 'hamburg.example',
      standing: EVERYTHING,
      rooms: {
        membership: () => Promise.resolve('join'),
        stateEvent: () => Promise.resolve(undefined),
        serverAllowed: (_roomId, of) => Promise.resolve(!shutOut.has(of)),
        authority: () =>
          Promise.resolve({ level: Infinity, levels: powerLevels({ get: () => undefined, create: undefined }) }),
      },
    });
    expect(await far.all('!x', '@bert:luebeck.example')).toEqual(rightSchema.options);
    shutOut.add('luebeck.example');
    expect(await far.all('!x', '@bert:luebeck.example')).toEqual([]);
  });

  it(`is never granted to who is not in the meeting: ${String(STEPS)} changes at random`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = randomOf(seed);
    const { roomId, ids } = await meeting();
    const others = [ids.moderator, ids.participant, ids.guest, (await somebody()).userId];
    const inside = new Set([ids.moderator, ids.participant, ids.guest]);
    const banned = new Set<string>();
    const levels = new Map([[ids.moderator, 50]]);
    let granted = 0;
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    for (let step = 0; step < STEPS; step += 1) {
      const userId = pick(others);
      const change = pick(['enter', 'leave', 'remove', 'ban', 'unban', 'appoint', 'demote'] as const);
      const done = await make(change, userId);
      if (done && change === 'enter') inside.add(userId);
      if (done && ['leave', 'remove', 'ban'].includes(change)) inside.delete(userId);
      if (done && change === 'ban') banned.add(userId);
      if (done && change === 'unban') banned.delete(userId);
      if (done && change === 'appoint') levels.set(userId, 50);
      if (done && change === 'demote') levels.set(userId, 0);
      for (const each of others) {
        const isModerator = inside.has(each) && (levels.get(each) ?? 0) >= 50;
        const expected = OF_MODERATORS.filter((right) => isModerator && !(each === ids.guest && right === 'invite'));
        granted += expected.length;
        const context = `seed ${String(seed)}, step ${String(step)}: ${change} ${userId}`;
        expect(await rights.all(roomId, each))
          .withContext(context)
          .toEqual(expected);
      }
    }
    expect(granted).toBeGreaterThan(0);

    /** @returns whether the room allowed it */
    async function make(change: string, userId: string): Promise<boolean> {
      const changes: Record<string, () => Promise<unknown>> = {
        enter: () => service.admit(roomId, userId),
        leave: () => (inside.has(userId) ? server.rooms.leave(roomId, userId) : Promise.reject(refused())),
        remove: () => server.rooms.memberships.change('kick', { roomId, sender: ids.owner, target: userId }),
        ban: () => server.rooms.memberships.change('ban', { roomId, sender: ids.owner, target: userId }),
        unban: () => server.rooms.memberships.change('unban', { roomId, sender: ids.owner, target: userId }),
        appoint: () => setLevel(roomId, ids.owner, userId, 50),
        demote: () => setLevel(roomId, ids.owner, userId, 0),
      };
      try {
        await changes[change]?.();
        return true;
      } catch (error) {
        if (error instanceof MatrixError) return false;
        throw error;
      }
    }
  });
});

function refused(): MatrixError {
  return new MatrixError(403, 'M_FORBIDDEN', 'Not in the room.');
}

/** The same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Roles, removals and ends over four organisations, each with its homeserver and media server. */
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { type Outcome, SessionClient } from '../hostile/kit/session-client.ts';
import { BUILD_TIMEOUT } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag, startMeetingServers } from '../support/meetings.ts';

const SLOW_MS = 60_000;
const codeOf = (outcome: Outcome): string => ('error' in outcome ? outcome.error.code : 'none');

interface Person {
  readonly user: TestUser;
  readonly server: TestHomeserver;
  session: SessionClient;
  participantId: string;
}

describe('A meeting of four organisations', () => {
  let federation: TestFederation;
  let users: { readonly user: TestUser; readonly server: TestHomeserver }[];
  let roomId: string;
  let people: Person[];

  beforeAll(async () => {
    federation = await startMeetingServers(4);
    const names = ['olga', 'mia', 'paul', 'pia'];
    users = await Promise.all(
      federation.servers.map(async (server, index) => ({ user: await server.register(names[index] ?? ''), server })),
    );
  }, BUILD_TIMEOUT);
  afterAll(() => federation.close());

  /** Olga of the first organisation owns it. */
  beforeEach(async () => {
    people = [];
    const [host] = users;
    if (!host) throw new Error('There is nobody.');
    const made = await api(host, 'POST', 'meetings', {
      title: 'Deich',
      invite: users.slice(1).map(({ user }) => user.userId),
      transactionId: `m${String(Math.random())}`,
    });
    roomId = String(at(made.body, 'roomId'));
    for (const { user, server } of users) {
      if (server !== host.server) {
        await eventually(
          () => api({ user, server }, 'POST', `meetings/${encodeURIComponent(roomId)}/answer`, { answer: 'accept' }),
          ({ status }) => status === 200,
          SLOW_MS,
        );
      }
      people.push(await seated(user, server));
    }
    for (const one of people) await sees(one, 4);
  }, 2 * SLOW_MS);
  afterEach(async () => {
    for (const { session } of people) {
      await session.ask('conference.leave');
      await session.close();
    }
  });

  const api = (
    { server, user }: Pick<Person, 'server' | 'user'>,
    ...asked: [string, string, unknown?]
  ): Promise<Answer> => hansetag(server, user.token, ...asked);
  async function seated(user: TestUser, server: TestHomeserver): Promise<Person> {
    const session = await SessionClient.open(server.url, user.token);
    const { me } = await session.join(roomId);
    return { user, server, session, participantId: me };
  }
  function the(index: number): Person {
    const found = people[index];
    if (!found) throw new Error('Somebody is missing.');
    return found;
  }
  const here = async ({ session }: Person): Promise<Set<string>> => {
    const ids = new Set((session.snapshot?.participants ?? []).map(({ participantId }) => participantId));
    for (const { notification, data } of session.told) {
      if (notification === 'participant.joined') ids.add(String(at(data, 'participantId')));
      if (notification === 'participant.left') ids.delete(String(at(data, 'participantId')));
    }
    return ids;
  };
  const sees = (one: Person, count: number): Promise<unknown> =>
    eventually(
      () => here(one),
      ({ size }) => size === count,
      SLOW_MS,
    );
  const hears = (one: Person, name: Parameters<SessionClient['heard']>[0], data: object): Promise<unknown> =>
    eventually(
      async () => one.session.heard(name),
      (all) => all.some((each) => Object.entries(data).every(([key, value]) => equal(at(each, key), value))),
      SLOW_MS,
    );
  const equal = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
  /** Waits until all of them know somebody's role. */
  const role = async (of: Person, is: string): Promise<void> => {
    for (const one of people) {
      await hears(one, 'participant.changed', { participantId: of.participantId, role: is });
    }
  };

  describe('Roles:', () => {
    it('are given and taken while it goes on, told in words, and owners keep theirs', async () => {
      const [olga, mia, paul, pia] = [the(0), the(1), the(2), the(3)];
      const by = { by: 'olga', organisation: olga.server.serverName };
      const mute = { participantIds: [paul.participantId] };
      expect(codeOf(await mia.session.ask('moderation.mute', mute))).toBe('forbidden');
      await olga.session.must('roles.set', { userId: mia.user.userId, role: 'moderator' });
      await role(mia, 'moderator');
      await hears(mia, 'moderation.done', { action: 'make-moderator', ...by });
      await hears(paul, 'moderation.told', { action: 'make-moderator', ...by, whom: ['mia'], count: 1 });
      await paul.session.publish('microphone');
      await hears(mia, 'participant.changed', { participantId: paul.participantId, role: 'participant' });
      await mia.session.must('moderation.mute', mute);
      await hears(paul, 'moderation.done', { action: 'mute', by: 'mia', organisation: mia.server.serverName });
      await hears(pia, 'moderation.told', { action: 'mute', by: 'mia', whom: ['paul'] });

      await mia.session.must('roles.set', { userId: paul.user.userId, role: 'moderator' });
      await role(paul, 'moderator');
      for (const target of [olga, mia]) {
        const taken = await paul.session.ask('roles.set', { userId: target.user.userId, role: 'participant' });
        expect(codeOf(taken)).withContext(target.user.userId).toBe('forbidden');
      }
      const owner = await mia.session.ask('roles.set', { userId: pia.user.userId, role: 'owner' });
      expect(codeOf(owner)).toBe('forbidden');
      expect(codeOf(await mia.session.ask('roles.set', { userId: '@nobody:x', role: 'moderator' }))).toBe('not-found');
      await olga.session.must('roles.set', { userId: mia.user.userId, role: 'participant' });
      await hears(mia, 'moderation.done', { action: 'make-participant', ...by });
      expect(codeOf(await mia.session.ask('moderation.mute', mute))).toBe('forbidden');
    }, 120_000);

    it('are given by the host when nobody leads the meeting any more, and not before', async () => {
      const [olga, mia, pia] = [the(0), the(1), the(3)];
      const appoint = (by: Person, of: Person): Promise<Answer> =>
        api(by, 'PUT', `meetings/${encodeURIComponent(roomId)}/roles/${encodeURIComponent(of.user.userId)}`, {
          role: 'moderator',
        });
      expect((await appoint(mia, pia)).status).toBe(403);
      await olga.session.must('roles.set', { userId: olga.user.userId, role: 'participant' });
      await role(olga, 'participant');
      expect((await appoint(mia, pia)).status)
        .withContext('of another organisation')
        .toBe(403);
      expect((await appoint(olga, pia)).status)
        .withContext('the host')
        .toBe(200);
      await role(pia, 'moderator');
      expect((await appoint(olga, mia)).status)
        .withContext('somebody leads it again')
        .toBe(403);
      await pia.session.must('moderation.mute', { participantIds: [mia.participantId] });
    }, 120_000);
  });

  describe('Kick / ban:', () => {
    it('takes several out at once, but nobody with as much power, and says who has done it', async () => {
      const [olga, mia, paul, pia] = [the(0), the(1), the(2), the(3)];
      await olga.session.must('roles.set', { userId: mia.user.userId, role: 'moderator' });
      await role(mia, 'moderator');
      const by = { by: 'mia', organisation: mia.server.serverName };
      const nobody = ['@x:y.example|Z', 'xxxxx', `@${'a'.repeat(400)}:b|D`];
      expect(await mia.session.must('moderation.remove', { participantIds: nobody })).toEqual({ unreached: [] });
      for (const one of [olga, mia]) {
        const refused = await mia.session.ask('moderation.ban', { participantIds: [one.participantId] });
        expect(codeOf(refused)).withContext(one.user.userId).toBe('forbidden');
      }
      const removed = await mia.session.must('moderation.remove', {
        participantIds: [olga.participantId, pia.participantId, ...nobody],
      });
      expect(removed).toEqual({ unreached: [], refused: [olga.participantId] });
      await hears(pia, 'conference.ended', { reason: 'removed', ...by });
      await hears(paul, 'moderation.told', { action: 'remove', ...by, whom: ['pia'], count: 1 });
      await mia.session.must('moderation.ban', { participantIds: [paul.participantId] });
      await hears(paul, 'conference.ended', { reason: 'banned', ...by });
      for (const one of [olga, mia]) await sees(one, 2);
      for (const one of [paul, pia]) {
        expect(codeOf(await one.session.ask('conference.join', { roomId }))).toBe('forbidden');
      }
      const invited = await api(olga, 'POST', `meetings/${encodeURIComponent(roomId)}/invitations`, {
        userIds: [paul.user.userId, pia.user.userId],
      });
      expect([0, 1].map((index) => at(invited.body, 'results', index, 'outcome'))).toEqual(['banned', 'invited']);
    }, 120_000);

    it('sends somebody back to wait, which is not to be removed for good', async () => {
      const [olga, paul] = [the(0), the(2)];
      await olga.session.must('moderation.send-to-waiting', { participantIds: [paul.participantId] });
      await hears(paul, 'conference.ended', { reason: 'waiting', by: 'olga' });
      await sees(olga, 3);
      const key = encodeURIComponent(`_${paul.user.userId}`);
      const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/org.hansetag.admission/${key}`;
      expect(await olga.user.must('GET', path)).toEqual({ admitted: false });
      expect(codeOf(await paul.session.ask('conference.join', { roomId }))).toMatch(/^(forbidden|must-wait)$/);
    }, 120_000);
  });

  describe('Debriefing:', () => {
    it('ends for guests, then for all but those who lead it, who stay connected, then for everybody', async () => {
      const [olga, mia, paul, pia] = [the(0), the(1), the(2), the(3)];
      await olga.session.must('roles.set', { userId: mia.user.userId, role: 'moderator' });
      await role(mia, 'moderator');
      const guest = await enterAsGuest();
      await sees(mia, 5);

      // A guest's name is what those who lead it make of it; that of a person with an account is not theirs to change.
      const rename = { participantId: guest.participantId, displayName: '\u202e Eva \u202c Gast' };
      await mia.session.must('moderation.rename', rename);
      await hears(guest, 'moderation.done', { action: 'rename', by: 'mia', displayName: 'Eva Gast' });
      await hears(pia, 'participant.changed', { participantId: guest.participantId, displayName: 'Eva Gast' });
      for (const [params, code] of [
        [{ participantId: paul.participantId, displayName: 'Someone else' }, 'forbidden'],
        [{ participantId: guest.participantId, displayName: '\u202e\u2066' }, 'bad-request'],
        [{ participantId: '@x:y.example|Z', displayName: 'Z' }, 'not-found'],
      ] as const) {
        expect(codeOf(await mia.session.ask('moderation.rename', params))).toBe(code);
      }
      const question = { participantIds: [guest.participantId, mia.participantId] };
      await mia.session.must('moderation.ask-unmute', question);
      await hears(guest, 'moderation.done', { action: 'ask-unmute', by: 'mia' });
      expect(mia.session.heard('moderation.done').filter((done) => at(done, 'action') === 'ask-unmute')).toEqual([]);

      const by = { by: 'mia', organisation: mia.server.serverName };
      expect(codeOf(await paul.session.ask('moderation.end', { for: 'everybody' }))).toBe('forbidden');
      await mia.session.must('moderation.end', { for: 'guests' });
      await hears(guest, 'conference.ended', { reason: 'ended', ...by, for: 'guests' });
      for (const one of [olga, mia, paul, pia]) await sees(one, 4);
      expect(codeOf(await guest.session.ask('conference.join', { roomId }))).toBe('forbidden');

      await mia.session.must('moderation.end', { for: 'participants' });
      for (const one of [paul, pia]) {
        await hears(one, 'conference.ended', { reason: 'ended', ...by, for: 'participants' });
      }
      for (const one of [olga, mia]) await sees(one, 2);
      await hears(olga, 'moderation.told', { action: 'end', ...by, for: 'participants', count: 2 });
      expect(olga.session.heard('conference.ended')).toEqual([]);
      expect(olga.session.heard('media.restart')).toEqual([]);
      expect(codeOf(await olga.session.publish('microphone')))
        .withContext('its media goes on')
        .toBe('none');
      const lock = `client/v3/rooms/${encodeURIComponent(roomId)}/state/org.hansetag.setting.lock/`;
      expect(await olga.user.must('GET', lock)).toEqual({ locked: true });

      await mia.session.must('moderation.end', { for: 'everybody' });
      await hears(olga, 'conference.ended', { reason: 'ended', ...by, for: 'everybody' });
      await hears(mia, 'conference.ended', { reason: 'ended', ...by, for: 'everybody' });
      const details = await api(olga, 'GET', `meetings/${encodeURIComponent(roomId)}`);
      expect(at(details.body, 'title')).withContext('the meeting stays').toBe('Deich');
      await eventually(
        () => memberships(olga),
        (left) => left === 0,
        SLOW_MS,
      );
      expect(codeOf(await olga.session.ask('conference.join', { roomId }))).toBe('none');
    }, 180_000);
  });

  async function enterAsGuest(): Promise<Person> {
    const host = the(0);
    await host.user.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.guest_access/`, {
      guest_access: 'can_join',
    });
    const made = await api(host, 'POST', `meetings/${encodeURIComponent(roomId)}/links`, {});
    const token = String(at(made.body, 'url')).split('/').at(-1) ?? '';
    const { body } = await hansetag(host.server, undefined, 'POST', `links/${token}/join`, { displayName: 'Gast' });
    const session = await SessionClient.open(host.server.url, String(at(body, 'session', 'accessToken')));
    const { me } = await session.join(roomId);
    const guest = { user: host.user, server: host.server, session, participantId: me };
    people.push(guest);
    return guest;
  }

  /** How many people the room says to be in the conference. */
  async function memberships(one: Person): Promise<number> {
    const state = await one.user.must('GET', `client/v3/rooms/${encodeURIComponent(roomId)}/state`);
    return (state as { type: string; content: object }[]).filter(
      ({ type, content }) => type === CALL_MEMBER && Object.keys(content).length > 0,
    ).length;
  }
});

import { at } from '../support/homeservers.ts';
import type { TestHomeserver, TestUser } from '../support/homeservers.ts';
import {
  bodies,
  create,
  DIRECTIONS,
  eventually,
  hears,
  history,
  join,
  membership,
  room,
  sameState,
  say,
  sees,
  send,
  servers,
  setState,
  stateOf,
  Syncing,
} from './support.ts';

/** The oldest and the third differ most from what came later; they know neither knocks nor restricted joins. */
const OLD_VERSIONS = ['1', '3'];
const VERSIONS = ['10', '11', '12'];

for (const [index, direction] of DIRECTIONS.entries()) {
  describe(`Real Matrix: a room ${direction.name},`, () => {
    let home: TestHomeserver;
    let bert: TestUser;
    let anna: TestUser;

    beforeAll(async () => {
      const all = await servers();
      home = all[direction.home];
      bert = await home.register(`bert${String(index)}`);
      anna = await all[direction.away].register(`anna${String(index)}`);
    });

    for (const version of [...OLD_VERSIONS, ...VERSIONS]) {
      it(`of version ${version}, is joined by alias, talked in, corrected and redacted`, async () => {
        const name = `hall-${version}`;
        const roomId = await create(bert, { preset: 'public_chat', room_version: version, room_alias_name: name });
        await say(bert, roomId, 'before');
        expect((await join(anna, `#${name}:${home.serverName}`)).status).toBe(200);
        const first = await say(anna, roomId, 'from away');
        await say(bert, roomId, 'from home');
        await hears(bert, roomId, ['from away', 'from home']);
        expect(await hears(anna, roomId, ['from away', 'from home'])).toContain('before');
        await send(anna, roomId, 'm.room.message', {
          msgtype: 'm.text',
          body: '* corrected',
          'm.new_content': { msgtype: 'm.text', body: 'corrected' },
          'm.relates_to': { rel_type: 'm.replace', event_id: first },
        });
        await hears(bert, roomId, ['* corrected']);
        // A moderator takes back what somebody of the other server said, and somebody their own words.
        const second = await say(bert, roomId, 'a slip of the tongue');
        await hears(anna, roomId, ['a slip of the tongue']);
        await bert.must('PUT', room(roomId, `redact/${encodeURIComponent(first)}/r${version}`), { reason: 'rude' });
        await bert.must('PUT', room(roomId, `redact/${encodeURIComponent(second)}/s${version}`), {});
        for (const user of [bert, anna]) {
          const said = await eventually(
            () => bodies(user, roomId),
            (now) => !now.includes('from away') && !now.includes('a slip of the tongue'),
          );
          expect(said).toContain('from home');
        }
        expect(await sameState(bert, anna, roomId)).toContain(
          jasmine.stringMatching(/^m\.room\.create/) as unknown as string,
        );
      });

      it(`of version ${version}, has one state: topic, levels, kick, ban and unban`, async () => {
        const roomId = await create(bert, { preset: 'public_chat', room_version: version });
        expect((await join(anna, roomId, home)).status).toBe(200);
        await sees(bert, roomId, anna, 'join');
        expect((await setState(anna, roomId, 'm.room.topic', { topic: 'not mine to say' })).status).toBe(403);
        const levels = (await stateOf(bert, roomId, 'm.room.power_levels')) as { users?: object };
        const raised = { ...levels, users: { ...levels.users, [anna.userId]: 50 } };
        expect((await setState(bert, roomId, 'm.room.power_levels', raised)).status).toBe(200);
        await eventually(
          () => stateOf(anna, roomId, 'm.room.power_levels'),
          (now) => at(now, 'users', anna.userId) === 50,
        );
        expect((await setState(anna, roomId, 'm.room.topic', { topic: 'Dikes' })).status).toBe(200);
        await eventually(
          () => stateOf(bert, roomId, 'm.room.topic'),
          (now) => at(now, 'topic') === 'Dikes',
        );
        expect((await setState(bert, roomId, 'm.room.power_levels', levels)).status).toBe(200);
        await eventually(
          () => stateOf(anna, roomId, 'm.room.power_levels'),
          (now) => at(now, 'users', anna.userId) === undefined,
        );
        await sameState(bert, anna, roomId);
        await bert.must('POST', room(roomId, 'kick'), { user_id: anna.userId, reason: 'a pause' });
        await eventually(
          () => anna.ask('GET', room(roomId, 'joined_members')),
          ({ status }) => status === 403,
        );
        expect((await join(anna, roomId, home)).status).toBe(200);
        await sees(bert, roomId, anna, 'join');
        await bert.must('POST', room(roomId, 'ban'), { user_id: anna.userId });
        await eventually(
          () => join(anna, roomId, home),
          ({ status }) => status === 403,
        );
        await bert.must('POST', room(roomId, 'unban'), { user_id: anna.userId });
        await eventually(
          () => join(anna, roomId, home),
          ({ status }) => status === 200,
        );
        await sees(bert, roomId, anna, 'join');
        await anna.must('POST', room(roomId, 'leave'), {});
        await sees(bert, roomId, anna, 'leave');
      });

      it(`of version ${version}, is entered by invitation, which is declined, taken back and accepted`, async () => {
        const roomId = await create(bert, { preset: 'private_chat', room_version: version, name: 'Closed' });
        expect((await join(anna, roomId, home)).status).toBe(403);
        await bert.must('POST', room(roomId, 'invite'), { user_id: anna.userId });
        const syncing = new Syncing(anna);
        const invited = (): Promise<unknown> => syncing.until((answer) => at(answer, 'rooms', 'invite', roomId));
        await invited();
        await anna.must('POST', room(roomId, 'leave'), {});
        await sees(bert, roomId, anna, 'leave');
        await bert.must('POST', room(roomId, 'invite'), { user_id: anna.userId });
        await invited();
        await bert.must('POST', room(roomId, 'kick'), { user_id: anna.userId });
        await sees(bert, roomId, anna, 'leave');
        // Whether the invitation vanishes elsewhere is that server's matter; it opens nothing any more.
        expect((await join(anna, roomId, home)).status).not.toBe(200);
        await bert.must('POST', room(roomId, 'invite'), { user_id: anna.userId });
        await eventually(
          () => join(anna, roomId, home),
          ({ status }) => status === 200,
        );
        await sees(bert, roomId, anna, 'join');
        await sameState(bert, anna, roomId);
      });

      it(`of version ${version}, shuts a server out by its access list`, async () => {
        const roomId = await create(bert, { preset: 'public_chat', room_version: version });
        expect((await join(anna, roomId, home)).status).toBe(200);
        await sees(bert, roomId, anna, 'join');
        // Ours is named by an address, Synapse by `localhost`.
        const acl = { allow: ['*'], deny: [], allow_ip_literals: false };
        // Synapse compares ports too, which the specification leaves out.
        const others = { allow: ['*'], deny: ['localhost', 'localhost:*'], allow_ip_literals: true };
        const [shut, own] = direction.home === 'ours' ? [others, acl] : [acl, others];
        // Nobody shuts their own server out by mistake.
        expect((await setState(bert, roomId, 'm.room.server_acl', own)).status).toBe(400);
        expect((await setState(bert, roomId, 'm.room.server_acl', shut)).status).toBe(200);
        await say(bert, roomId, 'only for us');
        await say(anna, roomId, 'let me in').catch(() => '');
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        expect(await bodies(bert, roomId)).not.toContain('let me in');
        expect(await membership(bert, roomId, anna)).toBe('join');
      });

      if (OLD_VERSIONS.includes(version)) continue;
      it(`of version ${version}, takes a knock, and lets members of another room in`, async () => {
        const knocking = await create(bert, {
          room_version: version,
          initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
        });
        const query = `?via=${encodeURIComponent(home.serverName)}&server_name=${encodeURIComponent(home.serverName)}`;
        await anna.must('POST', `client/v3/knock/${encodeURIComponent(knocking)}${query}`, { reason: 'please' });
        await sees(bert, knocking, anna, 'knock');
        await bert.must('POST', room(knocking, 'invite'), { user_id: anna.userId });
        await eventually(
          () => join(anna, knocking, home),
          ({ status }) => status === 200,
        );

        const space = await create(bert, {
          room_version: version,
          preset: 'public_chat',
          creation_content: { type: 'm.space' },
        });
        const restricted = await create(bert, {
          room_version: version,
          initial_state: [
            {
              type: 'm.room.join_rules',
              state_key: '',
              content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] },
            },
          ],
        });
        expect((await join(anna, restricted, home)).status).toBe(403);
        expect((await join(anna, space, home)).status).toBe(200);
        await sees(bert, space, anna, 'join');
        expect((await join(anna, restricted, home)).status).toBe(200);
        await sees(bert, restricted, anna, 'join');
        const entry = await stateOf(bert, restricted, 'm.room.member', anna.userId);
        expect(at(entry, 'join_authorised_via_users_server')).toBe(bert.userId);
        await sameState(bert, anna, restricted);
      });
    }

    it('gives those who come late the history that they may see', async () => {
      const open = await create(bert, { preset: 'public_chat' });
      const closed = await create(bert, {
        preset: 'public_chat',
        initial_state: [
          { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
        ],
      });
      const early = Array.from({ length: 30 }, (_, at) => `early ${String(at)}`);
      for (const body of early) {
        await say(bert, open, body);
        await say(bert, closed, body);
      }
      for (const roomId of [open, closed]) {
        expect((await join(anna, roomId, home)).status).toBe(200);
        await say(bert, roomId, 'late');
        await hears(anna, roomId, ['late']);
      }
      const said = (await bodies(anna, open)).filter((body) => body.startsWith('early'));
      expect(said).toEqual(early);
      expect((await bodies(anna, closed)).filter((body) => body.startsWith('early'))).toEqual([]);
    });

    it('moves to another version, and those inside find the new room', async () => {
      const roomId = await create(bert, { preset: 'public_chat', room_version: '10' });
      expect((await join(anna, roomId, home)).status).toBe(200);
      await sees(bert, roomId, anna, 'join');
      const answer = await bert.must('POST', room(roomId, 'upgrade'), { new_version: '11' });
      const replacement = String(at(answer, 'replacement_room'));
      await eventually(
        () => stateOf(anna, roomId, 'm.room.tombstone'),
        (now) => at(now, 'replacement_room') === replacement,
      );
      expect((await join(anna, replacement, home)).status).toBe(200);
      expect(at(await stateOf(anna, replacement, 'm.room.create'), 'predecessor', 'room_id')).toBe(roomId);
    });

    it('comes to one state again after both sides went on alone', async () => {
      const { synapse, ours } = await servers();
      const roomId = await create(bert, { preset: 'public_chat', room_version: '11' });
      expect((await join(anna, roomId, home)).status).toBe(200);
      const levels = (await stateOf(bert, roomId, 'm.room.power_levels')) as { users?: object };
      await setState(bert, roomId, 'm.room.power_levels', {
        ...levels,
        users: { ...levels.users, [anna.userId]: 100 },
      });
      await eventually(
        () => stateOf(anna, roomId, 'm.room.power_levels'),
        (now) => at(now, 'users', anna.userId) === 100,
      );
      const [onOurs, onSynapse] = direction.home === 'ours' ? [bert, anna] : [anna, bert];
      await synapse.stop();
      await setState(onOurs, roomId, 'm.room.topic', { topic: 'ours' });
      await say(onOurs, roomId, 'said here while the other was away');
      await ours.stop();
      await synapse.start();
      await setState(onSynapse, roomId, 'm.room.topic', { topic: 'theirs' });
      await setState(onSynapse, roomId, 'm.room.name', { name: 'Named apart' });
      await say(onSynapse, roomId, 'said there while the other was away');
      await ours.start();
      // Whoever waits for the other server tries again when it is heard of.
      await say(onOurs, roomId, 'back again');
      await say(onSynapse, roomId, 'back as well');
      const all = [
        'said here while the other was away',
        'said there while the other was away',
        'back again',
        'back as well',
      ];
      await hears(onOurs, roomId, all);
      await hears(onSynapse, roomId, all);
      await say(onOurs, roomId, 'joined up');
      await hears(onSynapse, roomId, ['joined up']);
      const state = await sameState(bert, anna, roomId);
      expect(state.some((entry) => entry.startsWith('m.room.name '))).toBeTrue();
      const ids = async (user: TestUser): Promise<string[]> =>
        (await history(user, roomId)).map((event) => String(at(event, 'event_id'))).sort();
      expect(await ids(bert)).toEqual(await ids(anna));
    });
  });
}

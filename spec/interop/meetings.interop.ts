import { at } from '../support/homeservers.ts';
import type { TestHomeserver, TestUser } from '../support/homeservers.ts';
import { hansetag } from '../support/meetings.ts';
import { eventually, hears, join, room, sameState, say, sees, servers, setState, stateOf } from './support.ts';

describe('Real Matrix: a meeting that the service user has made, entered from Synapse,', () => {
  let ours: TestHomeserver;
  let anna: TestUser;
  let bert: TestUser;
  let dora: TestUser;
  let service: string;
  let roomId: string;

  beforeAll(async () => {
    const all = await servers();
    ours = all.ours;
    service = `@_meetings:${ours.serverName}`;
    anna = await ours.register('anna-of-meetings');
    bert = await all.synapse.register('bert-of-meetings');
    dora = await all.synapse.register('dora-of-meetings');
    const plan = { title: 'Deich', invite: [bert.userId] };
    const made = await hansetag(ours, anna.token, 'POST', 'meetings', plan);
    roomId = String(at(made.body, 'roomId'));
    expect(at(made.body, 'invitations', 0, 'outcome')).toBe('invited');
    expect((await join(bert, roomId, ours)).status).toBe(200);
  });

  const appoint = async (by: TestUser, userId: string, level: number): Promise<number> => {
    const levels = (await stateOf(by, roomId, 'm.room.power_levels')) as { users: object };
    const users = { ...levels.users, [userId]: level };
    return (await setState(by, roomId, 'm.room.power_levels', { ...levels, users })).status;
  };

  it('has one state on both sides, and its chat', async () => {
    await say(bert, roomId, 'from Synapse');
    await say(anna, roomId, 'from us');
    for (const user of [anna, bert]) await hears(user, roomId, ['from Synapse', 'from us']);
    await sameState(anna, bert, roomId);
  });

  it('is moderated by whom its owner appoints, who appoints others and demotes nobody', async () => {
    expect(await appoint(bert, bert.userId, 50)).toBe(403);
    expect(await appoint(anna, bert.userId, 50)).toBe(200);
    await eventually(
      () => stateOf(bert, roomId, 'm.room.power_levels'),
      (levels) => at(levels, 'users', bert.userId) === 50,
    );
    await bert.must('POST', room(roomId, 'invite'), { user_id: dora.userId });
    await dora.must('POST', room(roomId, 'join'), {});
    expect(await appoint(bert, dora.userId, 50)).toBe(200);
    expect(await appoint(bert, dora.userId, 0)).toBe(403);
    expect(await appoint(bert, anna.userId, 0)).toBe(403);
    for (const userId of [service, anna.userId]) {
      expect((await bert.ask('POST', room(roomId, 'kick'), { user_id: userId })).status).toBe(403);
    }
    await eventually(
      () => stateOf(anna, roomId, 'm.room.power_levels'),
      (levels) => at(levels, 'users', dora.userId) === 50,
    );
  });

  it('goes on when its owner has left: others come in by our server', async () => {
    await anna.must('POST', room(roomId, 'leave'), {});
    await sees(bert, roomId, anna, 'leave');
    const carl = await ours.register('carl-of-meetings');
    await bert.must('POST', room(roomId, 'invite'), { user_id: carl.userId });
    await eventually(
      () => join(carl, roomId, ours),
      ({ status }) => status === 200,
    );
    await say(carl, roomId, 'after she had left');
    await hears(bert, roomId, ['after she had left']);
  });
});

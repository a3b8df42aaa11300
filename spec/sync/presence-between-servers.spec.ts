import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';

describe('Presence between servers', () => {
  let federation: TestFederation;
  beforeAll(async () => {
    federation = await startHomeservers(2, { HANSETAG_PRESENCE: 'federated' });
  });
  afterAll(() => federation.close());

  it('of both is known to both as soon as one has entered the room of the other', async () => {
    const [here, there] = federation.servers;
    if (!here || !there) throw new Error('There are no two servers.');
    const [bert, clara] = [await here.register('bert'), await there.register('clara')];
    for (const user of [bert, clara]) await user.must('GET', 'client/v3/sync');
    const roomId = String(
      at(
        await bert.must('POST', 'client/v3/createRoom', { preset: 'private_chat', invite: [clara.userId] }),
        'room_id',
      ),
    );
    const invited = async (): Promise<unknown> =>
      at(await clara.must('GET', 'client/v3/sync'), 'rooms', 'invite', roomId);
    await eventually(invited, (invite) => invite !== undefined);
    await clara.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    for (const user of [bert, clara]) {
      const known = await eventually(
        () => seenBy(user),
        (ids) => ids.length === 2,
      );
      expect(known.toSorted()).toEqual([bert.userId, clara.userId].toSorted());
    }
  });

  it('of those is known whose membership was fetched after the room was entered', async () => {
    const [here, there] = federation.servers;
    if (!here || !there) throw new Error('There are no two servers.');
    const [otto, paul] = [await here.register('otto'), await there.register('paul')];
    await otto.must('GET', 'client/v3/sync');
    await otto.must('POST', 'client/v3/createRoom', { preset: 'public_chat', room_alias_name: 'open' });
    await paul.must('POST', `client/v3/join/${encodeURIComponent(`#open:${here.serverName}`)}`, {});
    await eventually(
      () => seenBy(paul),
      (ids) => ids.includes(otto.userId),
    );
    expect(await seenBy(paul)).toContain(otto.userId);
  });

  async function seenBy(user: TestUser): Promise<string[]> {
    const events = at(await user.must('GET', 'client/v3/sync'), 'presence', 'events');
    return (Array.isArray(events) ? events : []).map((event) => String(at(event, 'sender')));
  }
});

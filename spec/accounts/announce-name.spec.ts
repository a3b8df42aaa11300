import { generateSeed, createSigningKey } from '../../federation/signing.ts';
import { announceName } from '../../homeserver/accounts/announce-name.ts';
import { createLog } from '../../homeserver/log.ts';
import { Rooms } from '../../homeserver/rooms/rooms.ts';
import { Notifier } from '../../homeserver/stream/notifier.ts';
import { Positions } from '../../homeserver/stream/positions.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { TestHome } from './support.ts';

describe('A changed name', () => {
  let home: TestHome;
  beforeAll(async () => {
    home = await startHome();
  });
  afterAll(() => home.close());

  it('reaches the rooms that the person is in, and only those', async () => {
    const rooms = await Rooms.open({
      db: home.db,
      serverName: SERVER_NAME,
      key: createSigningKey(generateSeed(), 'a'),
      // There is no other server here.
      sender: {
        write: () => undefined,
        durableEdu: () => Promise.resolve(),
        flush: () => undefined,
        edu: () => undefined,
      },
      positions: await Positions.open(home.db),
      notifier: new Notifier(),
      profile: async (userId) => ({ displayname: await home.accounts.displayName(userId) }),
      log: createLog('silent'),
    });
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '1', displayName: 'Old' });
    const inside = await rooms.create(userId, { name: 'inside' });
    const left = await rooms.create(userId, { name: 'left' });
    await rooms.leave(left, userId);
    await announceName(rooms, userId, 'New');
    const name = async (roomId: string) =>
      String((await rooms.stateEvent(roomId, 'm.room.member', userId))?.pdu.content['displayname']);
    expect(await name(inside)).toBe('New');
    expect(await name(left)).not.toBe('New');
    expect(await rooms.membership(left, userId)).toBe('leave');
  });
});

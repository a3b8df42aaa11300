import { Standing } from '../../homeserver/accounts/standing.ts';
import { generateSeed, createSigningKey } from '../../federation/signing.ts';
import { ProfileAnnouncer } from '../../homeserver/accounts/announce-profile.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { SERVER_NAME, startHome } from './support.ts';
import type { TestHome } from './support.ts';

describe('A changed profile', () => {
  let home: TestHome;
  let rooms: Rooms;
  let announcer: ProfileAnnouncer;
  beforeAll(async () => {
    home = await startHome();
    rooms = await Rooms.open({
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
      profile: (userId) => home.profiles.membership(userId),
      rights: new Standing(home.accounts),
      log: createLog('silent'),
    });
    announcer = new ProfileAnnouncer(rooms, home.profiles, createLog('silent'));
  });
  afterAll(() => home.close());

  const contentOf = async (roomId: string, userId: string): Promise<Record<string, unknown> | undefined> =>
    (await rooms.stateEvent(roomId, 'm.room.member', userId))?.pdu.content;

  it('reaches the rooms that the person is in, and only those', async () => {
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '1', name: 'Old' });
    const inside = await rooms.create(userId, { name: 'inside' });
    const left = await rooms.create(userId, { name: 'left' });
    await rooms.leave(left, userId);
    await home.profiles.set(userId, 'displayname', 'New');
    await home.profiles.set(userId, 'avatar_url', 'mxc://hamburg.example/picture');
    await announcer.announce(userId);
    expect(await contentOf(inside, userId)).toEqual({
      membership: 'join',
      displayname: 'New',
      avatar_url: 'mxc://hamburg.example/picture',
    });
    expect((await contentOf(left, userId))?.['displayname']).not.toBe('New');
    expect(await rooms.membership(left, userId)).toBe('leave');
    await home.profiles.remove(userId, 'avatar_url');
    await home.profiles.set(userId, 'displayname', '');
    await announcer.announce(userId);
    expect(await contentOf(inside, userId)).toEqual({ membership: 'join' });
  });

  it('ends with the last of several changes at once, and writes nothing when nothing changes', async () => {
    const userId = await home.accounts.logIn({ issuer: 'https://id.example', subject: '2', name: 'A' });
    const roomId = await rooms.create(userId, {});
    const change = async (name: string): Promise<void> => {
      await home.profiles.set(userId, 'displayname', name);
      await announcer.announce(userId);
    };
    await Promise.all(['B', 'C', 'D'].map(change));
    const { displayname } = (await home.profiles.get(userId)) ?? {};
    expect((await contentOf(roomId, userId))?.['displayname']).toBe(displayname);
    const { position } = rooms;
    await announcer.announce(userId);
    expect(rooms.position).toBe(position);
  });
});

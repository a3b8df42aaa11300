import { Standing } from '../../homeserver/accounts/standing.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { RoomLeaver } from '../../homeserver/accounts/leave-rooms.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { Rooms } from '../../homeserver/engine/rooms/rooms.ts';
import { Notifier } from '../../homeserver/engine/stream/notifier.ts';
import { Positions } from '../../homeserver/engine/stream/positions.ts';
import { SERVER_NAME, startHome } from './support.ts';

describe('Somebody whose account has ended', () => {
  it('is out of all rooms at last, also when a stop has come in between', async () => {
    const home = await startHome();
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
      profile: (userId) => home.profiles.membership(userId),
      rights: new Standing(home.accounts),
      log: createLog('silent'),
    });
    const [anna, bert] = [
      await home.accounts.logIn({ issuer: 'https://id.example', subject: '1', preferredUsername: 'anna' }),
      await home.accounts.logIn({ issuer: 'https://id.example', subject: '2', preferredUsername: 'bert' }),
    ];
    const own = await rooms.create(anna, {});
    const invited = await rooms.create(bert, { invite: [anna] });
    await home.accounts.deactivate(anna);

    const stopped = new RoomLeaver(home.accounts, rooms, createLog('silent'));
    stopped.close();
    await stopped.resume();
    expect(await home.accounts.endedInRooms()).toEqual([anna]);
    expect(await rooms.membership(own, anna)).toBe('join');

    await new RoomLeaver(home.accounts, rooms, createLog('silent')).resume();
    while ((await home.accounts.endedInRooms()).length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await rooms.membership(own, anna)).toBe('leave');
    expect(await rooms.membership(invited, anna)).toBe('leave');
    expect(await rooms.membership(invited, bert)).toBe('join');
    await home.close();
  });
});

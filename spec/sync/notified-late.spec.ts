/**
 * Notifications of what happened while much else did: push rules are evaluated some time after an event is stored. Here
 * that time is as long as a spec wants it.
 */
import { holdWrites } from '../support/database.ts';
import { at, list, startServer } from './support.ts';
import type { Person, TestServer } from './support.ts';

describe('Push: who is notified when evaluation runs behind', () => {
  let server: TestServer;
  let bert: Person;
  let clara: Person;
  /** In which both are from the beginning. */
  let common: string;
  let count = 0;

  beforeAll(async () => {
    server = await startServer();
    bert = await server.person('bert');
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    clara = await server.person(`clara-${String((count += 1))}`);
    common = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(common);
  });

  /** All this happens before anything of it is evaluated. */
  async function together(happens: () => Promise<void>): Promise<void> {
    const release = await holdWrites(server.db, 'push_actions');
    try {
      await bert.say(common, 'of which the notification waits');
      await happens();
    } finally {
      await release();
    }
    // Its counts are those after evaluation.
    await clara.sync();
  }
  /** What was notified of a room, the oldest first. */
  const noticed = async (roomId: string): Promise<unknown[]> =>
    list((await clara.ask('GET', '/notifications')).body, 'notifications')
      .filter((notice) => notice['room_id'] === roomId)
      .map((notice) => at(notice, 'event', 'content', 'body') ?? at(notice, 'event', 'content', 'membership'))
      .reverse();
  const ignoreBert = async (): Promise<void> => {
    const type = 'org.matrix.msc4155.invite_permission_config';
    const path = `/user/${encodeURIComponent(clara.userId)}/account_data/${type}`;
    await clara.ask('PUT', path, { ignored_users: [bert.userId] });
  };

  it('is told nothing of what was said before the own join', async () => {
    let roomId = '';
    await together(async () => {
      roomId = await bert.createRoom({ preset: 'public_chat' });
      await bert.say(roomId, 'before');
      await clara.join(roomId);
      await bert.say(roomId, 'after');
    });
    expect(await noticed(roomId)).toEqual(['after']);
  });

  it('is told nothing of the time between a removal and the return', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(roomId);
    await together(async () => {
      await bert.say(roomId, 'before');
      await clara.leave(roomId);
      await bert.say(roomId, 'meanwhile');
      await clara.join(roomId);
      await bert.say(roomId, 'after');
    });
    expect(await noticed(roomId)).toEqual(['before', 'after']);
  });

  it('is told all of it who is there all the time, also after a change of the own name', async () => {
    const roomId = await bert.createRoom({ preset: 'public_chat' });
    await clara.join(roomId);
    await together(async () => {
      await bert.say(roomId, 'one');
      await clara.setState(roomId, 'm.room.member', { membership: 'join', displayname: 'Clara B.' }, clara.userId);
      await bert.say(roomId, 'two');
    });
    expect(await noticed(roomId)).toEqual(['one', 'two']);
  });

  it('is told of an invitation that was accepted meanwhile, unless it is of somebody who is ignored', async () => {
    const invited = async (): Promise<unknown[]> => {
      let roomId = '';
      await together(async () => {
        roomId = await bert.createRoom({ preset: 'private_chat' });
        await bert.ask('POST', `/rooms/${encodeURIComponent(roomId)}/invite`, { user_id: clara.userId });
        await clara.join(roomId);
      });
      return noticed(roomId);
    };
    expect(await invited()).toEqual(['invite']);
    await ignoreBert();
    expect(await invited()).toEqual([]);
  });
});

import { RoomTurns } from '../../homeserver/engine/rooms/room-turns.ts';

const ROOM = '!room:luebeck.example';

describe('The turns of a room', () => {
  let turns: RoomTurns;
  let done: string[];
  let release: () => void;
  let first: Promise<void>;

  beforeEach(() => {
    turns = new RoomTurns();
    done = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    release = resolve;
    first = turns.run(ROOM, 'foreign', () => promise);
  });

  const does = (name: string) => async (): Promise<string> => {
    await Promise.resolve();
    done.push(name);
    return name;
  };

  it('come one after another, what people here do before what other servers sent', async () => {
    const waiting = [
      turns.run(ROOM, 'foreign', does('theirs 1')),
      turns.run(ROOM, 'own', does('ours 1')),
      turns.run(ROOM, 'foreign', does('theirs 2')),
      turns.run(ROOM, 'own', does('ours 2')),
    ];
    release();
    expect(await Promise.all(waiting)).toEqual(['theirs 1', 'ours 1', 'theirs 2', 'ours 2']);
    expect(done).toEqual(['ours 1', 'ours 2', 'theirs 1', 'theirs 2']);
  });

  it('let other servers have theirs, however much is done here', async () => {
    const theirs = turns.run(ROOM, 'foreign', does('theirs'));
    const ours = Array.from({ length: 100 }, (_, count) => turns.run(ROOM, 'own', does(String(count))));
    release();
    await Promise.all([theirs, ...ours]);
    expect(done.indexOf('theirs')).toBeLessThan(20);
  });

  it('go on after a task that failed, and hold up no other room', async () => {
    const elsewhere = turns.run('!other:luebeck.example', 'own', does('elsewhere'));
    const failing = turns.run(ROOM, 'own', () => Promise.reject(new Error('no')));
    const next = turns.run(ROOM, 'own', does('next'));
    expect(await elsewhere).toBe('elsewhere');
    release();
    await expectAsync(failing).toBeRejectedWithError('no');
    expect(await next).toBe('next');
    await first;
  });
});

/** Conferences are open as long as somebody holds them. */
import { pino } from 'pino';
import { pause } from '../../homeserver/base/clock.ts';
import type { Announcer } from '../../homeserver/meetings/conference/announcer.ts';
import type { LinkPeers } from '../../homeserver/meetings/conference/link-ports.ts';
import type { Reachability } from '../../homeserver/meetings/conference/reachability.ts';
import { type Held, Registry } from '../../homeserver/meetings/conference/registry.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeSfu } from '../support/fakes/sfu.ts';

const ROOM = '!room:luebeck.example';

describe('The registry of conferences', () => {
  let clock: FakeClock;
  let sfu: FakeSfu;
  let registry: Registry;
  let closed: string[];
  let reading: () => Promise<void>;

  beforeEach(() => {
    clock = new FakeClock();
    sfu = new FakeSfu({ clock });
    closed = [];
    reading = () => Promise.resolve();
    registry = new Registry({
      serverName: 'luebeck.example',
      sfu,
      clock,
      organisations: { info: () => Promise.reject(new Error('there are no others')) },
      peers: {} as unknown as LinkPeers,
      reachability: {} as unknown as Reachability,
      announcer: { ask: () => undefined } as unknown as Announcer,
      media: { lost: () => undefined },
      modules: {
        refresh: () => Promise.resolve(),
        rulesChanged: () => undefined,
        shown: () => ({}),
        snapshots: () => ({}),
        left: () => undefined,
        peopleChanged: () => undefined,
        told: () => undefined,
        closed: () => undefined,
      },
      silences: { put: () => Promise.resolve(), of: () => Promise.resolve([]) },
      log: pino({ level: 'silent' }),
      read: () => reading(),
      onClosed: ({ roomId }) => closed.push(roomId),
    });
  });

  it('opens a conference once for all who hold it, and closes it with the last', async () => {
    const [one, other] = await Promise.all([registry.hold(ROOM), registry.hold(ROOM)]);
    expect(one.conference).toBe(other.conference);
    one.release();
    expect(registry.get(ROOM)).toBe(other.conference);
    one.release();
    expect(registry.get(ROOM)).withContext('a second release counts for nothing').toBe(other.conference);
    other.release();
    expect(registry.get(ROOM)).toBeUndefined();
    expect(closed).toEqual([ROOM]);
    await clock.settle();
    expect(sfu.requests.map(({ method }) => method)).toEqual(['conference.close']);
  });

  it('keeps one open for who waits for its room while the other who waited leaves', async () => {
    reading = () => pause(clock, 50);
    const first = registry.hold(ROOM);
    const second = registry.hold(ROOM);
    await clock.advance(50);
    (await first).release();
    const { conference } = await second;
    expect(registry.get(ROOM)).toBe(conference);
    expect(closed).toEqual([]);
  });

  it('forgets one whose room could not be read, and reads it again for who comes next', async () => {
    reading = () => Promise.reject(new Error('the database is away'));
    await expectAsync(registry.hold(ROOM)).toBeRejectedWithError('the database is away');
    expect(registry.get(ROOM)).toBeUndefined();
    reading = () => Promise.resolve();
    const { conference, release } = await registry.hold(ROOM);
    expect(registry.get(ROOM)).toBe(conference);
    release();
  });

  it('never gives anybody a conference that is closed, in whatever order they come and go', async () => {
    for (let round = 0; round < 300; round += 1) {
      reading = () =>
        pause(clock, Math.random() * 20).then(() => {
          if (Math.random() < 0.2) throw new Error('the room is not there');
        });
      const held = new Set<Held>();
      const visits = Array.from({ length: 6 }, async () => {
        await pause(clock, Math.random() * 60);
        const mine = await registry.hold(ROOM).catch(() => undefined);
        if (!mine) return;
        held.add(mine);
        await pause(clock, Math.random() * 30);
        for (const each of held) expect(each.conference).toBe(registry.get(ROOM) ?? mine.conference);
        expect(registry.get(ROOM)).toBe(mine.conference);
        held.delete(mine);
        mine.release();
      });
      await clock.advance(200);
      await Promise.all(visits);
      expect(registry.get(ROOM)).toBeUndefined();
    }
  });
});

/** Which other organisations answer, on time that the spec moves. */
import { LOST_AFTER_MS, Reachability } from '../../homeserver/meetings/conference/reachability.ts';

const HAMBURG = 'hamburg.example';
const BREMEN = 'bremen.example';
const ROOM = '!room:luebeck.example';
const LOOK_MS = 30_000;

describe('Whether other organisations answer', () => {
  let now: number;
  /** Who was asked, and when. */
  let asked: [string, number][];
  let changes: [string, boolean, string[]][];
  let silent: Set<string>;
  let reachability: Reachability;

  beforeEach(() => {
    jasmine.clock().install();
    now = 0;
    asked = [];
    changes = [];
    silent = new Set();
    reachability = new Reachability({
      now: () => now,
      ask: (server) => {
        asked.push([server, now]);
        return silent.has(server) ? Promise.reject(new Error('silence')) : Promise.resolve();
      },
      onChange: (server, lost, rooms) => changes.push([server, lost, [...rooms]]),
    });
  });
  afterEach(() => {
    reachability.close();
    jasmine.clock().uninstall();
  });

  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1_000) {
      now += 1_000;
      jasmine.clock().tick(1_000);
      await settled();
    }
  };

  it('is taken for granted of whom nothing is known', () => {
    expect(reachability.isLost(HAMBURG)).toBeFalse();
    reachability.heard(HAMBURG);
    expect(changes).toEqual([]);
  });

  it('ends two minutes after the first question without an answer, not before, and is told once', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    await pass(LOST_AFTER_MS - 1_000);
    expect(reachability.isLost(HAMBURG)).toBeFalse();
    await pass(1_000);
    expect(reachability.isLost(HAMBURG)).toBeTrue();
    reachability.failed(HAMBURG);
    reachability.failed(HAMBURG);
    expect(changes).toEqual([[HAMBURG, true, []]]);
  });

  it('does not end by one failure, however long ago it is: who fails is asked again', async () => {
    reachability.failed(HAMBURG);
    await pass(10 * 60_000);
    expect(asked).toEqual([[HAMBURG, LOOK_MS]]);
    expect(reachability.isLost(HAMBURG)).toBeFalse();
  });

  it('is asked every half minute of who fails', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    await pass(90_000);
    expect(asked.map(([, at]) => at)).toEqual([30_000, 60_000, 90_000]);
  });

  it('is asked on and on of who fails, also when somebody has looked just before', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    await pass(LOOK_MS - 1_000);
    reachability.look(HAMBURG, ROOM);
    await settled();
    await pass(2 * LOOK_MS);
    expect(asked.map(([, at]) => at)).toEqual([29_000, 30_000, 60_000]);
  });

  it('counts the two minutes from the failure after the last answer', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    await pass(LOST_AFTER_MS - 1_000);
    reachability.heard(HAMBURG);
    await pass(60_000);
    reachability.failed(HAMBURG);
    await pass(LOST_AFTER_MS - 1_000);
    expect(reachability.isLost(HAMBURG)).toBeFalse();
    await pass(1_000);
    expect(reachability.isLost(HAMBURG)).toBeTrue();
  });

  it('begins again with the first answer, and that is told once', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    await pass(LOST_AFTER_MS);
    changes.length = 0;
    reachability.heard(HAMBURG);
    reachability.heard(HAMBURG);
    expect(reachability.isLost(HAMBURG)).toBeFalse();
    expect(changes).toEqual([[HAMBURG, false, []]]);
  });

  it('is looked for no more in the background of who has answered or is lost', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    reachability.heard(HAMBURG);
    await pass(60_000);
    expect(asked).toEqual([]);
    reachability.failed(HAMBURG);
    await pass(LOST_AFTER_MS);
    asked.length = 0;
    await pass(10 * 60_000);
    expect(asked).withContext('whoever needs it looks').toEqual([]);
  });

  it('is found out by who shows a room, at most every half minute and one question at a time', async () => {
    for (let n = 0; n < 5; n += 1) reachability.look(HAMBURG, ROOM);
    await pass(29_000);
    reachability.look(HAMBURG, ROOM);
    expect(asked).toEqual([[HAMBURG, 0]]);
    await pass(1_000);
    reachability.look(HAMBURG, ROOM);
    expect(asked.length).toBe(2);
  });

  it('is not asked a second time while a question is under way, however long that takes', async () => {
    let asks = 0;
    const held = Promise.withResolvers<void>();
    const patient = new Reachability({
      now: () => now,
      ask: () => {
        asks += 1;
        return held.promise;
      },
      onChange: () => undefined,
    });
    patient.look(HAMBURG, ROOM);
    now += 10 * LOOK_MS;
    patient.look(HAMBURG, ROOM);
    expect(asks).toBe(1);
    held.resolve();
    await settled();
    patient.look(HAMBURG, ROOM);
    expect(asks).toBe(2);
    patient.close();
  });

  it('is told with the rooms in which it is shown, a hundred at most', async () => {
    silent.add(HAMBURG);
    for (let n = 0; n < 150; n += 1) reachability.look(HAMBURG, `!${String(n)}`);
    reachability.look(HAMBURG, '!0');
    await settled();
    await pass(LOST_AFTER_MS);
    expect(changes.map(([server, lost, rooms]) => [server, lost, rooms.length])).toEqual([[HAMBURG, true, 100]]);
  });

  it('finds somebody again who is looked for while lost', async () => {
    silent.add(HAMBURG);
    reachability.look(HAMBURG, ROOM);
    await settled();
    await pass(LOST_AFTER_MS + LOOK_MS);
    expect(reachability.isLost(HAMBURG)).toBeTrue();
    silent.delete(HAMBURG);
    reachability.look(HAMBURG, ROOM);
    await settled();
    expect(reachability.isLost(HAMBURG)).toBeFalse();
    expect(changes.at(-1)).toEqual([HAMBURG, false, [ROOM]]);
  });

  it('is one for each organisation', async () => {
    silent.add(HAMBURG);
    reachability.failed(HAMBURG);
    reachability.failed(BREMEN);
    await pass(LOST_AFTER_MS);
    expect([reachability.isLost(HAMBURG), reachability.isLost(BREMEN)]).toEqual([true, false]);
  });

  it('is forgotten of who was first when there are too many, with what waits for it', async () => {
    reachability.failed(HAMBURG);
    for (let n = 0; n < 5_000; n += 1) reachability.look(`s${String(n)}.example`, ROOM);
    await settled();
    asked.length = 0;
    await pass(60_000);
    expect(asked.map(([server]) => server)).not.toContain(HAMBURG);
  });

  it('is asked of nobody any more after the end', async () => {
    reachability.failed(HAMBURG);
    reachability.close();
    reachability.look(BREMEN, ROOM);
    reachability.failed(BREMEN);
    await pass(60_000);
    expect(asked).toEqual([]);
    expect(changes).toEqual([]);
  });
});

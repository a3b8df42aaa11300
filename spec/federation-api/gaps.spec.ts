import type { Pdu } from '../../federation/event.ts';
import type { JsonObject } from '../../federation/json.ts';
import { HostedRoom } from '../support/peer-host.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

/** More than are given at once for a gap. */
const MISSED = 30;

describe('A gap that could not be filled', () => {
  let federation: TestFederation;
  let ours: TestHomeserver;
  let peer: Peer;
  let room: HostedRoom;
  let anna: TestUser;
  /** Whether the peer gives history. */
  let gives: boolean;
  let since: string;
  let count = 0;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    [ours] = federation.servers as [TestHomeserver];
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  /** Events right before some, newest first, without those. */
  const before = (ids: readonly string[], limit: number): Pdu[] => {
    const found: Pdu[] = [];
    let edge = ids.flatMap((id) => room.events.get(id)?.prev_events ?? []);
    while (edge.length > 0 && found.length < limit) {
      const events = edge.map((id) => room.events.get(id)).filter((pdu) => pdu !== undefined);
      found.push(...events);
      edge = events.flatMap((pdu) => pdu.prev_events);
    }
    return found.slice(0, limit);
  };

  beforeEach(async () => {
    room = HostedRoom.make(peer);
    gives = false;
    peer.answer = (path, body): JsonObject | undefined | Promise<JsonObject | undefined> => {
      if (path.includes('/get_missing_events/')) {
        const { latest_events: latest, limit } = body as { latest_events: string[]; limit: number };
        return { events: before(latest, limit).reverse() };
      }
      if (path.includes('/backfill/')) {
        const ids = new URL(path, 'https://peer').searchParams.getAll('v');
        const pdus = [...ids.map((id) => room.events.get(id)).filter((pdu) => pdu !== undefined), ...before(ids, 50)];
        return gives ? { origin: peer.serverName, origin_server_ts: 1, pdus } : undefined;
      }
      return room.answer(path, body);
    };
    anna = await ours.register(`anna${String((count += 1))}`);
    await anna.must('POST', `client/v3/join/${encodeURIComponent(room.roomId)}?via=${peer.serverName}`, {});
    await anna.must('GET', `client/v3/rooms/${encodeURIComponent(room.roomId)}/members`);
    await peer.send(ours.serverName, [say('before the gap')]);
    since = String(at(await sync(), 'next_batch'));
    for (let number = 1; number < MISSED; number += 1) say(`missed ${String(number)}`);
    await peer.send(ours.serverName, [say('after the gap')]);
  });

  const say = (body: string): Pdu => room.say({ type: 'm.room.message', sender: room.creator, content: { body } });
  const sync = (from?: string): Promise<unknown> => {
    const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 100 } } }));
    return anna.must('GET', `client/v3/sync?filter=${filter}${from === undefined ? '' : `&since=${from}`}`);
  };
  const page = (from?: unknown): Promise<unknown> => {
    const place = from === undefined ? '' : `&from=${String(from)}`;
    return anna.must('GET', `client/v3/rooms/${encodeURIComponent(room.roomId)}/messages?dir=b&limit=100${place}`);
  };
  const bodies = (events: unknown): unknown[] => {
    const said = (Array.isArray(events) ? (events as unknown[]) : []).map((event) => at(event, 'content', 'body'));
    return said.filter((body) => body !== undefined);
  };
  const timeline = (answer: unknown, ...path: string[]): unknown =>
    at(answer, 'rooms', 'join', room.roomId, 'timeline', ...path);
  const missed = (from: number, to: number): string[] =>
    Array.from({ length: from - to + 1 }, (_, index) => `missed ${String(from - index)}`);
  /** The oldest that came by itself. */
  const FIRST = MISSED - 20;

  it('makes a sync limited, with a token from which what is missing is fetched', async () => {
    const answer = await sync(since);
    expect(timeline(answer, 'limited')).toBeTrue();
    expect(bodies(timeline(answer, 'events'))).toEqual([...missed(MISSED - 1, FIRST).reverse(), 'after the gap']);
    gives = true;
    const older = bodies(at(await page(timeline(answer, 'prev_batch')), 'chunk'));
    expect(older).toEqual([...missed(FIRST - 1, 1), 'before the gap']);
    const again = await sync(since);
    expect(timeline(again, 'limited')).withContext('when it was filled meanwhile').toBeTrue();
    expect(bodies(timeline(again, 'events')))
      .withContext('when it was filled')
      .toEqual(bodies(timeline(answer, 'events')));
  });

  it('makes a first sync begin after the gap', async () => {
    const answer = await sync();
    expect(timeline(answer, 'limited')).toBeTrue();
    expect(bodies(timeline(answer, 'events'))[0]).toBe(`missed ${String(FIRST)}`);
  });

  it('ends a page of messages that runs into it, and is tried again by who goes on', async () => {
    const newest = await page();
    expect(bodies(at(newest, 'chunk'))).toEqual(['after the gap', ...missed(MISSED - 1, FIRST)]);
    gives = true;
    const older = await page(at(newest, 'end'));
    expect(bodies(at(older, 'chunk'))).toEqual([...missed(FIRST - 1, 1), 'before the gap']);
  });

  it('does not hide what is older when nobody gives what is missing', async () => {
    const newest = await page();
    const older = await page(at(newest, 'end'));
    expect(bodies(at(older, 'chunk'))).toEqual(['before the gap']);
    gives = true;
    const again = await page(at(newest, 'end'));
    expect(bodies(at(again, 'chunk'))).toEqual([...missed(FIRST - 1, 1), 'before the gap']);
  });
});

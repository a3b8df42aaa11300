/** What instances tell each other live: on a lane of its own, behind nothing else. */
import type { JsonObject } from '../../federation/json.ts';
import type { ConferencePeer } from '../hostile/kit/conference-peer.ts';
import { MeetingPlace, type Member } from '../hostile/kit/meeting.ts';
import type { SessionClient } from '../hostile/kit/session-client.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { PeerRoom } from '../support/peer.ts';

describe('The live lane between instances', () => {
  let place: MeetingPlace;
  let anna: Member;
  let session: SessionClient;
  let peer: ConferencePeer;
  let room: PeerRoom;
  let roomId: string;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    anna = await place.register('anna');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  beforeEach(async () => {
    ({ roomId, peer, room } = await place.withPeer(anna));
    session = await anna.session();
    await session.join(roomId);
  });
  afterEach(async () => {
    await session.close();
    await peer.close();
  });

  const source = (paused: boolean): JsonObject => ({ source: 'microphone', id: 'microphone-1', paused });
  const states = (paused: boolean): JsonObject => ({
    participants: [{ user_id: peer.peer.userId('mallory'), device_id: 'DEVICE', sources: [source(paused)] }],
  });
  /** What our client was last told of the peer's microphone. */
  const shown = (): unknown => at(session.heard('participant.changed').at(-1), 'sources', 0, 'paused');
  /** What the peer was last told of our microphone. */
  const told = (): unknown =>
    peer.live
      .map((message) => at(message, 'participants', 0, 'sources', 0, 'paused'))
      .filter((paused) => paused !== undefined)
      .at(-1);

  it('begins with the state of everybody, and tells each change after it with the next number', async () => {
    await session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
    );
    await session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => told(),
      (paused) => paused === true,
    );
    const withStates = peer.live.filter((message) => message['participants'] !== undefined);
    expect([withStates[0]?.['whole'], withStates[0]?.['number']]).toEqual([true, 1]);
    expect(withStates.map((message) => message['number'])).toEqual(withStates.map((_, index) => index + 1));
    expect(new Set(peer.live.map((message) => message['epoch'])).size).toBe(1);
  });

  it('does not wait until transactions are answered', async () => {
    peer.onTransaction = () => undefined;
    await anna.user.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'This is not taken for a long time.',
    });
    await eventually(
      async () => peer.peer.asked.filter((line) => line.includes('/send/')).length,
      (count) => count > 0,
    );
    await session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
      2_000,
    );
    await session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => told(),
      (paused) => paused === true,
      2_000,
    );
  });

  it('does not wait until other requests to the server are answered', async () => {
    const answers = peer.peer.answer;
    peer.peer.answer = (path, body, method) =>
      path.includes('/query/profile') ? new Promise(() => undefined) : answers(path, body, method);
    // More than there are connections for anything else.
    const asked = Array.from({ length: 12 }, (_, n) =>
      anna.user.ask('GET', `client/v3/profile/${encodeURIComponent(peer.peer.userId(`nobody${String(n)}`))}`),
    );
    await eventually(
      async () => peer.peer.asked.filter((line) => line.includes('/query/profile')).length,
      (count) => count === 6,
    );
    await session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
      2_000,
    );
    await peer.close();
    await Promise.all(asked);
  });

  it('is heard although the room lacks history and a transaction of its sender is under way', async () => {
    const answers = peer.peer.answer;
    let asked = false;
    peer.peer.answer = (path, body, method) => {
      if (!/get_missing_events|\/state_ids\/|\/event\/|\/backfill\//.test(path)) return answers(path, body, method);
      asked = true;
      return new Promise(() => undefined);
    };
    const orphan = peer.peer.event(
      { ...room, last: `$${'a'.repeat(43)}`, depth: room.depth + 5 },
      { sender: peer.peer.userId('mallory'), type: 'm.room.message', content: { msgtype: 'm.text', body: 'x' } },
    );
    let taken = false;
    const sent = peer.peer.send(place.server.serverName, [orphan]).then(() => {
      taken = true;
    });
    await eventually(async () => asked, Boolean);
    expect(await peer.tell(place.server.serverName, roomId, states(false))).toEqual({ body: {} });
    await eventually(
      async () => shown(),
      (paused) => paused === false,
      2_000,
    );
    expect(taken).toBeFalse();
    await sent;
  }, 40_000);

  it('asks for everything when a message was lost, and lets no older one count', async () => {
    const { serverName } = place.server;
    expect(await peer.tell(serverName, roomId, { ...states(false), whole: true, number: 1 })).toEqual({ body: {} });
    expect(await peer.tell(serverName, roomId, { ...states(true), number: 3 })).toEqual({ body: { resend: true } });
    expect(shown()).toBeTrue();
    // It was overtaken, and its loss was told already.
    expect(await peer.tell(serverName, roomId, { ...states(false), number: 2 })).toEqual({ body: {} });
    expect(shown()).toBeTrue();
    expect(await peer.tell(serverName, roomId, { ...states(false), whole: true, number: 4 })).toEqual({ body: {} });
    expect(shown()).toBeFalse();
    expect(await peer.tell(serverName, roomId, { ...states(true), number: 3 })).toEqual({ body: {} });
    expect(shown()).toBeFalse();
  });

  it('finds by an empty message that the last one was lost', async () => {
    const { serverName } = place.server;
    expect(await peer.tell(serverName, roomId, { ...states(false), whole: true, number: 1 })).toEqual({ body: {} });
    expect(await peer.tell(serverName, roomId, { number: 1 })).toEqual({ body: {} });
    expect(await peer.tell(serverName, roomId, { number: 2 })).toEqual({ body: { resend: true } });
    await eventually(
      async () => peer.live.filter((message) => !('participants' in message) && !('resend' in message)).length,
      (count) => count > 0,
    );
  }, 15_000);

  it('gives the newest state of everybody once the other instance answers again', async () => {
    await session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
    );
    let failed = 0;
    peer.onLive = () => {
      failed += 1;
      return { errcode: 'M_UNKNOWN' };
    };
    await session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => failed,
      (count) => count > 0,
    );
    await session.must('media.resume', { source: 'microphone' });
    await session.must('media.pause', { source: 'microphone' });
    const before = peer.live.length;
    peer.onLive = () => ({});
    await eventually(
      async () => peer.live.length,
      (length) => length > before,
    );
    expect(peer.live[before]?.['whole']).toBeTrue();
    expect(at(peer.live[before], 'participants', 0, 'sources', 0, 'paused')).toBeTrue();
  });

  it('sends the whole state when it is asked for it', async () => {
    await session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
    );
    const before = peer.live.length;
    let answered = 0;
    peer.onLive = () => ({ resend: (answered += 1) === 1 });
    await session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => peer.live.slice(before).filter((message) => message['whole'] === true).length,
      (count) => count === 1,
    );
  });

  it('falls back to EDUs for an instance of an older build', async () => {
    const edus: unknown[] = [];
    const answers = peer.peer.answer;
    peer.peer.answer = (path, body, method) => {
      if (path.includes('/send/')) edus.push(...(at(body, 'edus') as unknown[]));
      return answers(path, body, method);
    };
    peer.onLive = () => ({ errcode: 'M_UNRECOGNIZED' });
    await session.publish('microphone');
    const [edu] = await eventually(
      async () => edus.filter((one) => at(one, 'content', 'participants', 0, 'sources', 0, 'paused') === false),
      (found) => found.length > 0,
    );
    expect(at(edu, 'edu_type')).toBe('org.hansetag.conference');
    expect(at(edu, 'content', 'room_id')).toBe(roomId);
    const live = peer.live.length;
    await session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => edus.filter((one) => at(one, 'content', 'participants', 0, 'sources', 0, 'paused') === true).length,
      (count) => count > 0,
    );
    expect(peer.live.length).toBe(live);
    // It was updated: from now on it is spoken to as it speaks.
    peer.onLive = () => ({});
    await peer.tell(place.server.serverName, roomId, states(false));
    await session.must('media.resume', { source: 'microphone' });
    await eventually(
      async () => peer.live.length,
      (length) => length > live,
    );
  });
});

/** What instances tell each other live: on a lane of its own, behind nothing else. */
import type { JsonObject } from '../../federation/json.ts';
import { useMeetingWithPeer } from '../hostile/kit/meeting-with-peer.ts';
import { at, eventually } from '../support/homeservers.ts';

describe('The live lane between instances', () => {
  const met = useMeetingWithPeer();

  const source = (paused: boolean): JsonObject => ({ source: 'microphone', id: 'microphone-1', paused });
  const states = (paused: boolean): JsonObject => ({
    participants: [{ user_id: met.peer.peer.userId('mallory'), device_id: 'DEVICE', sources: [source(paused)] }],
  });
  /** What our client was last told of the peer's microphone. */
  const shown = (): unknown => at(met.session.heard('participant.changed').at(-1), 'sources', 0, 'paused');
  /** What the peer was last told of our microphone. */
  const told = (): unknown =>
    met.peer.live
      .map((message) => at(message, 'participants', 0, 'sources', 0, 'paused'))
      .filter((paused) => paused !== undefined)
      .at(-1);

  it('begins with the state of everybody, and tells each change after it with the next number', async () => {
    await met.session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
    );
    await met.session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => told(),
      (paused) => paused === true,
    );
    const withStates = met.peer.live.filter((message) => message['participants'] !== undefined);
    expect([withStates[0]?.['whole'], withStates[0]?.['number']]).toEqual([true, 1]);
    expect(withStates.map((message) => message['number'])).toEqual(withStates.map((_, index) => index + 1));
    expect(new Set(met.peer.live.map((message) => message['epoch'])).size).toBe(1);
  });

  it('does not wait until transactions are answered', async () => {
    met.peer.onTransaction = () => undefined;
    await met.anna.user.must('PUT', `client/v3/rooms/${encodeURIComponent(met.roomId)}/send/m.room.message/1`, {
      msgtype: 'm.text',
      body: 'This is not taken for a long time.',
    });
    await eventually(
      async () => met.peer.peer.asked.filter((line) => line.includes('/send/')).length,
      (count) => count > 0,
    );
    await met.session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
      2_000,
    );
    await met.session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => told(),
      (paused) => paused === true,
      2_000,
    );
  });

  it('does not wait until other requests to the server are answered', async () => {
    const answers = met.peer.peer.answer;
    met.peer.peer.answer = (path, body, method) =>
      path.includes('/query/profile') ? new Promise(() => undefined) : answers(path, body, method);
    // More than there are connections for anything else.
    const asked = Array.from({ length: 12 }, (_, n) =>
      met.anna.user.ask('GET', `client/v3/profile/${encodeURIComponent(met.peer.peer.userId(`nobody${String(n)}`))}`),
    );
    await eventually(
      async () => met.peer.peer.asked.filter((line) => line.includes('/query/profile')).length,
      (count) => count === 6,
    );
    await met.session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
      2_000,
    );
    await met.peer.close();
    await Promise.all(asked);
  });

  it('is heard although the room lacks history and a transaction of its sender is under way', async () => {
    const answers = met.peer.peer.answer;
    let asked = false;
    met.peer.peer.answer = (path, body, method) => {
      if (!/get_missing_events|\/state_ids\/|\/event\/|\/backfill\//.test(path)) return answers(path, body, method);
      asked = true;
      return new Promise(() => undefined);
    };
    const orphan = met.peer.peer.event(
      { ...met.room, last: `$${'a'.repeat(43)}`, depth: met.room.depth + 5 },
      { sender: met.peer.peer.userId('mallory'), type: 'm.room.message', content: { msgtype: 'm.text', body: 'x' } },
    );
    let taken = false;
    const sent = met.peer.peer.send(met.place.server.serverName, [orphan]).then(() => {
      taken = true;
    });
    await eventually(async () => asked, Boolean);
    expect(await met.tell(states(false))).toEqual({ body: {} });
    await eventually(
      async () => shown(),
      (paused) => paused === false,
      2_000,
    );
    expect(taken).toBeFalse();
    await sent;
  }, 40_000);

  it('asks for everything when a message was lost, and lets no older one count', async () => {
    expect(await met.tell({ ...states(false), whole: true, number: 1 })).toEqual({
      body: {},
    });
    expect(await met.tell({ ...states(true), number: 3 })).toEqual({
      body: { resend: true },
    });
    expect(shown()).toBeTrue();
    // It was overtaken, and its loss was told already.
    expect(await met.tell({ ...states(false), number: 2 })).toEqual({ body: {} });
    expect(shown()).toBeTrue();
    expect(await met.tell({ ...states(false), whole: true, number: 4 })).toEqual({
      body: {},
    });
    expect(shown()).toBeFalse();
    expect(await met.tell({ ...states(true), number: 3 })).toEqual({ body: {} });
    expect(shown()).toBeFalse();
  });

  it('finds by an empty message that the last one was lost', async () => {
    expect(await met.tell({ ...states(false), whole: true, number: 1 })).toEqual({
      body: {},
    });
    expect(await met.tell({ number: 1 })).toEqual({ body: {} });
    expect(await met.tell({ number: 2 })).toEqual({ body: { resend: true } });
    await eventually(
      async () => met.peer.live.filter((message) => !('participants' in message) && !('resend' in message)).length,
      (count) => count > 0,
    );
  }, 15_000);

  it('gives the newest state of everybody once the other instance answers again', async () => {
    await met.session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
    );
    let failed = 0;
    met.peer.onLive = () => {
      failed += 1;
      return { errcode: 'M_UNKNOWN' };
    };
    await met.session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => failed,
      (count) => count > 0,
    );
    await met.session.must('media.resume', { source: 'microphone' });
    await met.session.must('media.pause', { source: 'microphone' });
    const before = met.peer.live.length;
    met.peer.onLive = () => ({});
    await eventually(
      async () => met.peer.live.length,
      (length) => length > before,
    );
    expect(met.peer.live[before]?.['whole']).toBeTrue();
    expect(at(met.peer.live[before], 'participants', 0, 'sources', 0, 'paused')).toBeTrue();
  });

  it('sends the whole state when it is asked for it', async () => {
    await met.session.publish('microphone');
    await eventually(
      async () => told(),
      (paused) => paused === false,
    );
    const before = met.peer.live.length;
    let answered = 0;
    met.peer.onLive = () => ({ resend: (answered += 1) === 1 });
    await met.session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => met.peer.live.slice(before).filter((message) => message['whole'] === true).length,
      (count) => count === 1,
    );
  });

  it('falls back to EDUs for an instance of an older build', async () => {
    const edus: unknown[] = [];
    const answers = met.peer.peer.answer;
    met.peer.peer.answer = (path, body, method) => {
      if (path.includes('/send/')) edus.push(...(at(body, 'edus') as unknown[]));
      return answers(path, body, method);
    };
    met.peer.onLive = () => ({ errcode: 'M_UNRECOGNIZED' });
    await met.session.publish('microphone');
    const [edu] = await eventually(
      async () => edus.filter((one) => at(one, 'content', 'participants', 0, 'sources', 0, 'paused') === false),
      (found) => found.length > 0,
    );
    expect(at(edu, 'edu_type')).toBe('org.hansetag.conference');
    expect(at(edu, 'content', 'room_id')).toBe(met.roomId);
    const live = met.peer.live.length;
    await met.session.must('media.pause', { source: 'microphone' });
    await eventually(
      async () => edus.filter((one) => at(one, 'content', 'participants', 0, 'sources', 0, 'paused') === true).length,
      (count) => count > 0,
    );
    expect(met.peer.live.length).toBe(live);
    // It was updated: from now on it is spoken to as it speaks.
    met.peer.onLive = () => ({});
    await met.tell(states(false));
    await met.session.must('media.resume', { source: 'microphone' });
    await eventually(
      async () => met.peer.live.length,
      (length) => length > live,
    );
  });
});

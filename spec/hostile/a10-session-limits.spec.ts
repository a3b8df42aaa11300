/** A10: the limits of a session hold, whatever comes in one packet. */
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { flood } from './kit/dear-inputs.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

describe('Rate limits: A10: a client that asks faster than it may', () => {
  let place: MeetingPlace;
  let anna: Member;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start({ HANSETAG_RATE_LIMITS: 'on' });
    anna = await place.register('anna');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());

  it('is cut off, and what it has sent by then is not answered', async () => {
    const session = await anna.session();
    let answers = 0;
    session.socket.on('message', () => (answers += 1));
    expect(await flood(session.socket, 5_000)).toBe(4029);
    expect(answers).toBeLessThan(600);
  }, 60_000);

  it('waits for what is above the rate, and gets every answer', async () => {
    // The device of the spec before has used up what it had.
    const device = await place.logIn('anna');
    const session = await device.session();
    const began = performance.now();
    const outcomes = await Promise.all(Array.from({ length: 250 }, () => session.ask('ping')));
    expect(outcomes.every((outcome) => 'result' in outcome)).toBeTrue();
    // 150 at once and 40 a second.
    expect(performance.now() - began).toBeGreaterThan(2_000);
  });

  it('writes no more messages by the session than by the Matrix API', async () => {
    const device = await place.logIn('anna');
    const roomId = await place.meeting(device);
    const session = await device.session();
    const send = (n: number) => session.ask('chat.send', { roomId, transactionId: `t${String(n)}`, body: 'hello' });
    const outcomes = await Promise.all(Array.from({ length: 260 }, (_, n) => send(n)));
    const refused = outcomes.filter((outcome) => 'error' in outcome && outcome.error.code === 'too-many-requests');
    expect(refused.length).toBeGreaterThan(10);
    expect(outcomes.length - refused.length).toBeGreaterThan(150);
  }, 60_000);

  it('has few sessions for each device', async () => {
    const device = await place.logIn('anna');
    const sessions: SessionClient[] = [];
    for (let n = 0; n < 20; n += 1) sessions.push(await device.session());
    const open = (): number => sessions.filter(({ socket }) => socket.readyState === socket.OPEN).length;
    for (let tries = 0; tries < 100 && open() > 16; tries += 1) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(open()).toBe(16);
  });
});

/** A12: a transaction of a hostile server costs our clients few notifications. */
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { eventually } from '../support/homeservers.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { ConferencePeer } from './kit/conference-peer.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

describe('A12: states that another server tells', () => {
  let place: MeetingPlace;
  let anna: Member;
  let session: SessionClient;
  let peer: ConferencePeer;
  let roomId: string;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    anna = await place.register('anna');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  beforeEach(async () => {
    ({ roomId, peer } = await place.withPeer(anna));
    session = await anna.session();
    await session.join(roomId);
  });
  afterEach(async () => {
    await session.close();
    await peer.close();
  });

  const said = (paused: boolean, id = 'camera-1'): JsonObject => ({
    user_id: peer.peer.userId('mallory'),
    device_id: 'DEVICE',
    sources: [{ source: 'camera', id, paused }],
  });
  const changes = (): number => session.heard('participant.changed').length;

  it('are told once when they stay the same, however often they are said', async () => {
    const participants = Array.from({ length: 500 }, () => said(false));
    await peer.speak(
      place.server.serverName,
      Array.from({ length: 100 }, () => ({ room_id: roomId, participants })),
    );
    await eventually(
      async () => changes(),
      (count) => count > 0,
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(changes()).toBe(1);
  });

  it('are told once for a message that contradicts itself', async () => {
    const before = changes();
    const participants = Array.from({ length: 499 }, (_, n) => said(n % 2 === 0));
    await peer.speak(place.server.serverName, [{ room_id: roomId, participants: [...participants, said(true)] }]);
    await eventually(
      async () => changes(),
      (count) => count > before,
    );
    expect(changes()).toBe(before + 1);
  });

  it('are told up to a budget when they change all the time, and the last state is asked for afterwards', async () => {
    const before = changes();
    const asked = peer.peer.asked.length;
    for (let transaction = 0; transaction < 15; transaction += 1) {
      const contents = Array.from({ length: 100 }, (_, n) => ({ room_id: roomId, participants: [said(n % 2 === 0)] }));
      await peer.speak(place.server.serverName, contents);
    }
    expect(changes() - before).toBeLessThan(1_100);
    expect(changes() - before).toBeGreaterThan(100);
    await eventually(
      async () => peer.peer.asked.slice(asked).filter((line) => line.endsWith('/live')).length,
      (count) => count > 0,
    );
  }, 60_000);
});

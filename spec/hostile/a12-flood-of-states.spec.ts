/** A12: a transaction of a hostile server costs our clients few notifications. */
import { eventually } from '../support/homeservers.ts';
import type { JsonObject } from '../../federation/json.ts';
import { useMeetingWithPeer } from './kit/meeting-with-peer.ts';

describe('A12: states that another server tells', () => {
  const met = useMeetingWithPeer();

  const said = (paused: boolean, id = 'camera-1'): JsonObject => ({
    user_id: met.peer.peer.userId('mallory'),
    device_id: 'DEVICE',
    sources: [{ source: 'camera', id, paused }],
  });
  const changes = (): number => met.session.heard('participant.changed').length;

  it('are told once when they stay the same, however often they are said', async () => {
    const participants = Array.from({ length: 500 }, () => said(false));
    await met.peer.speak(
      met.place.server.serverName,
      Array.from({ length: 100 }, () => ({ room_id: met.roomId, participants })),
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
    await met.peer.speak(met.place.server.serverName, [
      { room_id: met.roomId, participants: [...participants, said(true)] },
    ]);
    await eventually(
      async () => changes(),
      (count) => count > before,
    );
    expect(changes()).toBe(before + 1);
  });

  it('are told up to a budget when they change all the time, and the last state is asked for afterwards', async () => {
    const before = changes();
    const asked = met.peer.peer.asked.length;
    for (let transaction = 0; transaction < 15; transaction += 1) {
      const contents = Array.from({ length: 100 }, (_, n) => ({
        room_id: met.roomId,
        participants: [said(n % 2 === 0)],
      }));
      await met.peer.speak(met.place.server.serverName, contents);
    }
    expect(changes() - before).toBeLessThan(1_100);
    expect(changes() - before).toBeGreaterThan(100);
    await eventually(
      async () => met.peer.peer.asked.slice(asked).filter((line) => line.endsWith('/live')).length,
      (count) => count > 0,
    );
  }, 60_000);
});

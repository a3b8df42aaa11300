import { HostedRoom } from '../support/peer-host.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

describe('A room that all of ours have left', () => {
  let federation: TestFederation;
  let ours: TestHomeserver;
  let peer: Peer;

  beforeAll(async () => {
    federation = await startHomeservers(1, {});
    [ours] = federation.servers as [TestHomeserver];
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  it('is entered again only after who holds it was told of what was done there last', async () => {
    const room = HostedRoom.make(peer);
    let isDeaf = false;
    peer.answer = (path, body) => {
      if (isDeaf && path.includes('/send/')) return undefined;
      // What comes is part of the room.
      if (path.includes('/send/'))
        for (const pdu of (body as { pdus: Parameters<HostedRoom['add']>[0][] }).pdus) room.add(pdu);
      return room.answer(path, body);
    };
    const [anna, bert] = await Promise.all([ours.register('anna'), ours.register('bert')]);
    const enter = `client/v3/join/${encodeURIComponent(room.roomId)}?via=${peer.serverName}`;
    const path = `client/v3/rooms/${encodeURIComponent(room.roomId)}/`;
    await anna.must('POST', enter, {});
    isDeaf = true;
    peer.asked.length = 0;
    await anna.must('POST', `${path}leave`, {});
    // By then the next attempt is seconds away.
    await eventually(
      async () => peer.asked.filter((asked) => asked.includes('/send/')).length,
      (attempts) => attempts >= 3,
      20_000,
    );
    isDeaf = false;
    await bert.must('POST', enter, {});
    const state = `${path}state/m.room.member/${encodeURIComponent(anna.userId)}`;
    expect(at(await bert.must('GET', state), 'membership')).toBe('leave');
  }, 40_000);
});

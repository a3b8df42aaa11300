/** A7: a server that the room's access list shuts out keeps neither media nor voice. */
import { eventually } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import type { ConferencePeer } from './kit/conference-peer.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

describe('A7: a server that the access list of the room shuts out', () => {
  let place: MeetingPlace;
  let anna: Member;
  let session: SessionClient;
  let peer: ConferencePeer;
  let roomId: string;
  const sources = (paused: boolean) => [{ source: 'camera', id: 'camera-1', paused }];

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start({}, '127.0.0.1');
    anna = await place.register('anna');
    ({ roomId, peer } = await place.withPeer(anna));
    session = await anna.session();
    await session.join(roomId);
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    await peer.close();
    await place.close();
  });

  it('loses its link, its participants and its voice at once', async () => {
    const { serverName } = place.server;
    await peer.speak(serverName, [peer.state(roomId, 'mallory', sources(false))]);
    await eventually(
      async () => session.heard('participant.changed').length,
      (count) => count > 0,
    );
    expect('body' in (await peer.askLink(serverName, 'PUT', roomId, 'link-1', peer.half()))).toBeTrue();
    expect(place.media.conference(roomId)?.links.map(({ linkId }) => linkId)).toContain('link-1');

    const acl = { allow: ['*'], deny: ['localhost'], allow_ip_literals: true };
    await anna.user.must('PUT', `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.server_acl`, acl);
    await eventually(
      async () => place.media.conference(roomId)?.links.length,
      (count) => count === 0,
      2_000,
    );
    expect(session.heard('participant.left')).toEqual([
      { participantId: peer.participantId('mallory'), reason: 'removed' },
    ]);

    const told = session.told.length;
    await peer.speak(serverName, [peer.state(roomId, 'mallory', sources(true))]);
    expect(await peer.askLink(serverName, 'PUT', roomId, 'link-2', peer.half())).toEqual(
      jasmine.objectContaining({ status: 403 }),
    );
    expect(await peer.askLink(serverName, 'PUT', roomId, 'link-1', { wants: [] }, '/wants')).toEqual(
      jasmine.objectContaining({ status: 403 }),
    );
    expect(session.told.slice(told).filter(({ notification }) => notification.startsWith('participant.'))).toEqual([]);
    const again = await anna.session();
    expect((await again.join(roomId)).participants.map(({ participantId }) => participantId)).toEqual([
      anna.participantId,
    ]);
  });
});

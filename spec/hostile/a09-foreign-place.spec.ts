/** A9: nobody takes somebody else out of the call. */
import { membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { PeerRoom } from '../support/peer.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import type { ConferencePeer } from './kit/conference-peer.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';
import type { SessionClient } from './kit/session-client.ts';

describe('A9: the place of a participant in the room', () => {
  let place: MeetingPlace;
  let anna: Member;
  let bert: Member;
  let session: SessionClient;
  let peer: ConferencePeer;
  let room: PeerRoom;
  let roomId: string;
  let key: string;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    [anna, bert] = [await place.register('anna'), await place.register('bert')];
    ({ roomId, peer, room } = await place.withPeer(anna));
    await bert.user.must('POST', `client/v3/join/${encodeURIComponent(roomId)}`, {});
    session = await anna.session();
    await session.join(roomId);
    key = membershipKey(anna.user.userId, anna.deviceId);
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    await peer.close();
    await place.close();
  });

  const path = (): string => `client/v3/rooms/${encodeURIComponent(roomId)}/state`;
  const keyPath = (): string => `${path()}/${CALL_MEMBER}/${encodeURIComponent(key)}`;
  /** The event under the key of Anna's place. */
  const standing = async (): Promise<unknown> => (await anna.user.ask('GET', `${keyPath()}?format=event`)).body;
  const isAnnas = (event: unknown): boolean =>
    at(event, 'sender') === anna.user.userId && at(event, 'content', 'device_id') === anna.deviceId;

  it('is not written by another user of the same server', async () => {
    expect((await bert.user.ask('PUT', keyPath(), {})).status).toBe(403);
    const delayed = await bert.user.ask('PUT', `${keyPath()}?org.matrix.msc4140.delay=10`, {});
    expect(delayed.status === 200 || delayed.status === 403).toBeTrue();
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(isAnnas(await standing())).toBeTrue();
    const own = membershipKey(bert.user.userId, 'OTHER');
    expect((await bert.user.ask('PUT', `${path()}/${CALL_MEMBER}/${encodeURIComponent(own)}`, {})).status).toBe(200);
  });

  it('is written again when a stranger of another server has overwritten it', async () => {
    const before = at(await standing(), 'event_id');
    await peer.say(place.server.serverName, room, {
      type: CALL_MEMBER,
      sender: peer.peer.userId('mallory'),
      state_key: key,
      content: {},
    });
    await eventually(standing, (event) => isAnnas(event) && at(event, 'event_id') !== before);
  });

  it('is written again when the own client has emptied it: nobody listens without standing in the room', async () => {
    const before = at(await standing(), 'event_id');
    await anna.user.must('PUT', keyPath(), {});
    await eventually(standing, (event) => isAnnas(event) && at(event, 'event_id') !== before);
    expect(place.media.labels(roomId)).toContain(anna.participantId);
    await session.ask('conference.leave');
    await eventually(standing, (event) => Object.keys(at(event, 'content') as object).length === 0);
    await session.join(roomId);
  });

  it('stays when a stranger has overwritten that of somebody of another organisation', async () => {
    const { serverName } = place.server;
    const mallory = peer.participantId('mallory');
    const eve = await peer.peer.join(serverName, roomId, peer.peer.userId('eve'));
    await peer.say(serverName, eve, {
      type: CALL_MEMBER,
      sender: peer.peer.userId('eve'),
      state_key: membershipKey(peer.peer.userId('mallory'), 'DEVICE'),
      content: {},
    });
    await peer.speak(serverName, [
      peer.state(roomId, 'mallory', [{ source: 'camera', id: 'camera-1', paused: false }]),
    ]);
    await eventually(
      async () => session.heard('participant.changed').some((data) => at(data, 'participantId') === mallory),
      (changed) => changed,
    );
    expect(session.heard('participant.left').map((data) => at(data, 'participantId'))).not.toContain(mallory);
  });
});

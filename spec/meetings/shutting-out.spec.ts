/** Owners shut a whole organisation out of a meeting: what becomes of its link, its people, and of what it still says. */
import type { JsonObject } from '../../federation/json.ts';
import { CALL_MEMBER } from '../../homeserver/base/names.ts';
import { ConferencePeer } from '../hostile/kit/conference-peer.ts';
import { MeetingPlace, type Member } from '../hostile/kit/meeting.ts';
import type { SessionClient } from '../hostile/kit/session-client.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { at, eventually } from '../support/homeservers.ts';
import type { PeerRoom } from '../support/peer.ts';

describe('Moderation without trust: an organisation that is shut out of a meeting', () => {
  let place: MeetingPlace;
  let anna: Member;
  let session: SessionClient;
  let hamburg: ConferencePeer;
  let room: PeerRoom;
  let bremen: ConferencePeer;
  let bremenRoom: PeerRoom;
  let roomId: string;
  let linkId: string;
  let number = 0;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start({}, 'luebeck.localhost');
    anna = await place.register('anna');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());
  beforeEach(async () => {
    const { serverName } = place.server;
    bremen = await ConferencePeer.start(place.federation, 'bremen.localhost');
    // Bremen has an owner, too.
    const levels = {
      users: { [bremen.peer.userId('olga')]: 100, [anna.user.userId]: 100 },
      events: { [CALL_MEMBER]: 0 },
    };
    ({
      roomId,
      peer: hamburg,
      room,
    } = await place.withPeer(
      anna,
      'mallory',
      { preset: 'public_chat', power_level_content_override: levels, room_version: '11' },
      'hamburg.localhost',
    ));
    bremenRoom = await bremen.peer.join(serverName, roomId, bremen.peer.userId('olga'));
    await bremen.enter(serverName, bremenRoom, 'olga');
    session = await anna.session();
    await session.join(roomId);
    await hamburg.tell(serverName, roomId, hamburg.state(roomId, 'mallory', [camera]));
    linkId = `link-${String(Date.now())}`;
    expect('body' in (await openLink(linkId))).toBeTrue();
  }, 30_000);
  afterEach(async () => {
    await session.close();
    await Promise.all([hamburg.close(), bremen.close()]);
  });

  const camera = { source: 'camera', id: 'camera-1', paused: false };
  const openLink = (id: string) => hamburg.askLink(place.server.serverName, 'PUT', roomId, id, hamburg.half());
  const links = (): string[] => (place.media.conference(roomId)?.links ?? []).map((link) => link.linkId);
  const left = (): unknown[] => session.heard('participant.left').map((data) => at(data, 'participantId'));
  const membership = async (userId: string): Promise<unknown> => {
    const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${encodeURIComponent(userId)}`;
    return at((await anna.user.ask('GET', path)).body, 'membership');
  };
  const isOut = async (): Promise<void> => {
    await eventually(
      async () => links(),
      (all) => !all.includes(linkId),
      1_000,
    );
    await eventually(
      async () => left(),
      (all) => all.includes(hamburg.participantId('mallory')),
      1_000,
    );
  };
  const isShut = async (): Promise<void> => {
    const { serverName } = place.server;
    expect(await openLink('other-link')).toEqual(jasmine.objectContaining({ status: 403 }));
    expect(await hamburg.tell(serverName, roomId, hamburg.state(roomId, 'mallory', [camera]))).toEqual(
      jasmine.objectContaining({ status: 403 }),
    );
  };

  it('loses its link and its people within a second, in the room as well, and gets them back by an invitation', async () => {
    const mallory = hamburg.peer.userId('mallory');
    const outcome = await session.must('organisations.shut-out', { serverName: hamburg.serverName });
    await isOut();
    await isShut();
    expect(at(outcome, 'unreached')).toEqual(jasmine.arrayContaining([hamburg.serverName]));
    await eventually(
      () => membership(mallory),
      (now) => now === 'leave',
    );
    expect(session.heard('organisations.shut-out-changed').at(-1)).toEqual({
      shutOut: ['hamburg.localhost'],
      by: 'anna',
      organisation: place.server.serverName,
    });
    expect(at(await session.must('organisations.list-shut-out'), 'shutOut')).toEqual(['hamburg.localhost']);
    await expectAsync(hamburg.peer.join(place.server.serverName, roomId, mallory)).toBeRejected();

    await session.must('organisations.let-in', { serverName: 'hamburg.localhost' });
    expect(at(await session.must('organisations.list-shut-out'), 'shutOut')).toEqual([]);
    room = await hamburg.peer.join(place.server.serverName, roomId, mallory);
    await hamburg.enter(place.server.serverName, room, 'mallory');
    await eventually(
      async () => session.heard('participant.joined').map((data) => at(data, 'userId')),
      (all) => all.includes(mallory),
    );
    expect('body' in (await openLink(`${linkId}-again`))).toBeTrue();
  }, 30_000);

  it('is never the own one or that of the meeting, and never by who does not own it', async () => {
    const refusal = async (asker: SessionClient, serverName: string): Promise<unknown> =>
      at(await asker.ask('organisations.shut-out', { serverName }), 'error', 'code');
    expect(await refusal(session, place.server.serverName)).toBe('forbidden');
    expect(await refusal(session, 'LUEBECK.localhost:1')).toBe('forbidden');
    expect(await refusal(session, 'no name')).toBe('bad-request');
    const bert = await place.register(`bert-${String(Date.now())}`);
    await bert.user.must('POST', `client/v3/rooms/${encodeURIComponent(roomId)}/join`, {});
    const berts = await bert.session();
    await berts.join(roomId);
    expect(await refusal(berts, hamburg.serverName)).toBe('forbidden');
    expect(links()).toContain(linkId);
    await berts.close();
  }, 30_000);

  /** The order of Bremen's owner, with an event whose place in the room nobody can find. */
  const order = (content: JsonObject, more: JsonObject = {}): JsonObject => ({
    number: (number += 1),
    action: 'access-list',
    by: bremen.peer.userId('olga'),
    participants: [],
    event: bremen.peer.event(
      { ...bremenRoom, last: `$${'b'.repeat(43)}`, depth: bremenRoom.depth + 9 },
      { type: 'm.room.server_acl', sender: bremen.peer.userId('olga'), state_key: '', content },
    ),
    ...more,
  });
  const give = async (one: JsonObject): Promise<unknown> =>
    at(await bremen.tell(place.server.serverName, roomId, { orders: [one] }), 'body', 'orders', String(one['number']));
  const list = (...deny: string[]): JsonObject => ({ allow: ['*'], deny, allow_ip_literals: true });

  it('is out by the order of an owner elsewhere, while the room lacks its event and after a restart', async () => {
    expect(await give(order(list('hamburg.localhost')))).toBe('taken');
    await isOut();
    await isShut();
    await place.server.stop();
    await place.server.start();
    session = await anna.session();
    const { participants } = await session.join(roomId);
    expect(participants.map(({ userId }) => userId)).not.toContain(hamburg.peer.userId('mallory'));
    await isShut();
    // The owner lets it in again; its membership still stands.
    expect(await give(order(list()))).toBe('taken');
    await eventually(
      async () => session.heard('participant.joined').map((data) => at(data, 'userId')),
      (all) => all.includes(hamburg.peer.userId('mallory')),
    );
  }, 60_000);

  it('stays in by orders that are forged, of who may not, or against the organisation of the meeting', async () => {
    const good = order(list('hamburg.localhost'));
    const forged = { ...(good['event'] as JsonObject), signatures: { [bremen.serverName]: { x: 'A'.repeat(86) } } };
    const foreign = { ...(good['event'] as JsonObject), room_id: '!other:bremen.localhost' };
    for (const one of [
      order(list('luebeck.localhost')),
      order(list('bremen.localhost')),
      order(list('hamburg.localhost'), { event: forged }),
      order(list('hamburg.localhost'), { event: foreign }),
      order(list('hamburg.localhost'), { by: anna.user.userId }),
      order(list('hamburg.localhost'), { by: bremen.peer.userId('nobody') }),
    ]) {
      expect(await give(one))
        .withContext(JSON.stringify(one))
        .toBe('refused');
    }
    const mallorys = { ...good, number: 1, by: hamburg.peer.userId('mallory') };
    const answer = await hamburg.tell(place.server.serverName, roomId, { orders: [mallorys] });
    expect(at(answer, 'body', 'orders', '1')).toBe('refused');
    expect(left()).toEqual([]);
    expect(links()).toContain(linkId);
  }, 30_000);
});

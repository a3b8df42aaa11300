/** A16: a link whose peer does not prove its address takes no port for longer than the attempt. */
import { eventually } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import type { ConferencePeer } from './kit/conference-peer.ts';
import { MeetingPlace } from './kit/meeting.ts';

describe('A16: the port of a link', () => {
  let place: MeetingPlace;
  let peer: ConferencePeer;
  let roomId: string;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    const anna = await place.register('anna');
    ({ roomId, peer } = await place.withPeer(anna));
    // Who opens links is not the question here: the peer takes none.
    peer.onLink = () => undefined;
    await (await anna.session()).join(roomId);
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    await peer.close();
    await place.close();
  });

  const opened = (): string[] =>
    (place.media.conference(roomId)?.links ?? []).map(({ linkId }) => linkId).filter((id) => id.startsWith('dead'));

  it('is free again when the peer has not proven its address', async () => {
    const { serverName } = place.server;
    expect('body' in (await peer.askLink(serverName, 'PUT', roomId, 'dead-1', peer.half()))).toBeTrue();
    expect(opened()).toEqual(['dead-1']);
    await eventually(
      async () => opened(),
      (links) => links.length === 0,
      15_000,
    );
    expect(await place.media.transportsInWorker(roomId)).toBeLessThanOrEqual(3);
  });

  it('is one for each peer, however many links it opens at once', async () => {
    const { serverName } = place.server;
    const open = (n: number) => peer.askLink(serverName, 'PUT', roomId, `dead-many-${String(n)}`, peer.half());
    await Promise.all(Array.from({ length: 12 }, (_, n) => open(n)));
    await eventually(
      async () => opened(),
      (links) => links.length <= 1,
    );
    await eventually(
      async () => opened(),
      (links) => links.length === 0,
      15_000,
    );
  });
});

/** What specs of a suite have in which another organisation, played by the spec, speaks to a conference of ours. */
import type { JsonObject } from '../../../federation/json.ts';
import { BUILD_TIMEOUT, workerBin } from '../../sfu/support.ts';
import type { PeerRoom } from '../../support/peer.ts';
import type { ConferencePeer } from './conference-peer.ts';
import { MeetingPlace, type Member } from './meeting.ts';
import type { SessionClient } from './session-client.ts';

export interface MeetingWithPeer {
  readonly place: MeetingPlace;
  readonly anna: Member;
  readonly roomId: string;
  /** Of Anna, who is in the conference. */
  readonly session: SessionClient;
  /** Has Mallory in the conference. */
  readonly peer: ConferencePeer;
  readonly room: PeerRoom;
  /** The peer tells our homeserver something live of the conference. @returns the answer */
  tell(message: JsonObject): Promise<unknown>;
}

/** Gives the suite that calls it one homeserver, and each of its specs a new meeting. @returns what there is right now */
export function useMeetingWithPeer(): MeetingWithPeer {
  const now = {
    tell: (message) => now.peer.tell(now.place.server.serverName, now.roomId, message),
  } as { -readonly [K in keyof MeetingWithPeer]: MeetingWithPeer[K] };

  beforeAll(async () => {
    await workerBin();
    now.place = await MeetingPlace.start();
    now.anna = await now.place.register('anna');
  }, BUILD_TIMEOUT);
  afterAll(() => now.place.close());
  beforeEach(async () => {
    Object.assign(now, await now.place.withPeer(now.anna));
    now.session = await now.anna.session();
    await now.session.join(now.roomId);
  });
  afterEach(async () => {
    await now.session.close();
    await now.peer.close();
  });

  return now;
}

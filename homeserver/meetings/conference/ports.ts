/**
 * What a conference needs of the media server and of its room. Fakes of both (spec/support/fakes/) pass the contracts that
 * the real ones pass (spec/meetings/contracts/).
 */
import type { SfuClient } from '../../../sfu/client.ts';
import type { Participant } from '../../../protocol/session.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';

/** The control line to our SFU. Requests arrive in the order they are made, notifications in the SFU's order. */
export type SfuPort = Pick<SfuClient, 'hello' | 'request' | 'on' | 'onState'>;

/** The room of a conference. Reading it gives the current state, which may be newer than the event that was told. */
export type RoomPort = Pick<
  Rooms,
  | 'state'
  | 'stateEvent'
  | 'stateOfType'
  | 'membership'
  | 'isInside'
  | 'joinedServers'
  | 'serverAllowed'
  | 'whole'
  | 'join'
  | 'send'
  | 'onEvent'
>;

/** A live conference, for whoever watches it. */
export interface WatchedConference {
  readonly roomId: string;
  participants(): Pick<Participant, 'joinedAt'>[];
  /** The other organisations with participants. */
  servers(): ReadonlySet<string>;
}

/** Is told what conferences here see, and what they do not. */
export interface ConferenceWatch {
  /** The first of our people enters; who else is there is known by now. */
  opened(conference: WatchedConference): void;
  /** The last of our people has left. */
  closed(conference: WatchedConference): void;
  /** An organisation does not answer any more, or answers again, in these rooms. */
  lost(server: string, isLost: boolean, roomIds: ReadonlySet<string>): void;
}

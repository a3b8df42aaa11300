/**
 * What a conference needs of the media server and of its room. Fakes of both (spec/support/fakes/) pass the contracts that
 * the real ones pass (spec/meetings/contracts/).
 */
import type { SfuClient } from '../../../sfu/client.ts';
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

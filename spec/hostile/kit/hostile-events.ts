/** Events of another server that are signed well and cost whoever takes them work: they fork, or rest on nothing. */
import { randomBytes } from 'node:crypto';
import type { Pdu, UnsignedPdu } from '../../../federation/event.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Peer, PeerRoom } from '../../support/peer.ts';

interface Said {
  readonly sender: string;
  readonly type: string;
  readonly content: JsonObject;
  readonly state_key?: string;
}

/** An event at the end of the room, but for what is changed. */
export function changedEvent(peer: Peer, room: PeerRoom, said: Said, change: Partial<UnsignedPdu>): Pdu {
  const { signatures: _signatures, hashes: _hashes, ...draft } = peer.event(room, said);
  return peer.sign({ ...draft, ...change } as UnsignedPdu, room.version);
}

/** What rests on three events that nobody has. */
export function unfounded(peer: Peer, room: PeerRoom, said: Said): Pdu {
  const { auth_events: auth } = peer.event(room, said);
  return changedEvent(peer, room, said, { auth_events: [...auth, unknownId(), unknownId(), unknownId()] });
}

/** What comes after events that nobody has. */
export function unconnected(peer: Peer, room: PeerRoom, said: Said): Pdu {
  return changedEvent(peer, room, said, { prev_events: [unknownId(), unknownId()], depth: 99 });
}

/**
 * State events that all come after the same events.
 *
 * @param said its state key is the beginning of theirs
 */
export function forks(
  peer: Peer,
  room: PeerRoom,
  said: Omit<Said, 'content'>,
  count: number,
  { previous = [room.last], depth = room.depth + 1 } = {},
): Pdu[] {
  return Array.from({ length: count }, (_, index) => {
    const key = `${said.state_key ?? ''}${String(depth)}.${String(index)}`;
    const event = { ...said, state_key: key, content: { index } };
    return changedEvent(peer, room, event, { prev_events: previous, depth });
  });
}

function unknownId(): string {
  return `$${randomBytes(32).toString('base64url')}`;
}

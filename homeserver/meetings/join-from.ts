/**
 * Coming to a meeting with a one-time code of another organisation, where somebody has a guest link (link-codes.ts): the
 * code is redeemed there, and the invitation that follows is accepted, as its owner has just asked for it.
 */
import * as z from 'zod';
import type { FederationClient } from '../../federation/client.ts';
import { serverOf } from '../../federation/event.ts';
import { MatrixError } from '../base/errors.ts';
import { askServer } from '../engine/federation/ask.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';

const TIMEOUT_MS = 20_000;
const MAX_ANSWER_BYTES = 16 * 1024;

/** Body of `POST /_hansetag/federation/v1/links/redeem`, and its answer. */
export const redeemSchema = z.object({
  code: z.string().regex(/^[\w-]{22,128}$/),
  user_id: z.string().min(3).max(255).startsWith('@'),
});
export const redeemedSchema = z.object({
  room_id: z.string().min(2).max(255).startsWith('!'),
  /** `join`, `wait`: an invitation is there; `knock`: they may knock. */
  go: z.enum(['join', 'wait', 'knock']),
});

export interface JoinFromOptions {
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly client: FederationClient;
}

export class JoinFrom {
  readonly #options: JoinFromOptions;

  constructor(options: JoinFromOptions) {
    this.#options = options;
  }

  /**
   * Takes somebody of ours to the meeting of a code.
   *
   * @throws MatrixError what the other server says (404 for a code that is not valid any more), 403 for one that is not
   *   trusted, 502 when it does not answer or names a meeting to which it did not invite
   */
  async join(userId: string, server: string, code: string): Promise<{ roomId: string; waiting: boolean }> {
    const { serverName, client, rooms } = this.#options;
    if (server === serverName) throw new MatrixError(400, 'M_INVALID_PARAM', 'This is your own organisation.');
    const answer = await askServer(client, {
      destination: server,
      method: 'POST',
      path: '/_hansetag/federation/v1/links/redeem',
      body: { code, user_id: userId },
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
    });
    const redeemed = redeemedSchema.safeParse(answer);
    if (!redeemed.success) throw unusable(server);
    const { room_id: roomId, go } = redeemed.data;
    const present = await rooms.membership(roomId, userId);
    if (present === 'join') return { roomId, waiting: false };
    if (go === 'knock') {
      // Where we are in the room, its name could be that of any of our meetings.
      const inside = await rooms.joinedServers(roomId);
      if (inside.has(serverName) && !inside.has(server)) throw unusable(server);
      if (present !== 'knock' && present !== 'invite') await rooms.memberships.knock(userId, roomId, { via: [server] });
      return { roomId, waiting: true };
    }
    if (!(await this.#isInvitedBy(server, roomId, userId))) throw unusable(server);
    if (go === 'wait') return { roomId, waiting: true };
    await rooms.join(userId, roomId, { via: [server] });
    await rooms.whole(roomId);
    return { roomId, waiting: false };
  }

  /** A server takes nobody of ours into a meeting to which its own people have not invited them. */
  async #isInvitedBy(server: string, roomId: string, userId: string): Promise<boolean> {
    const { rooms } = this.#options;
    const elsewhere = await rooms.invitation(roomId, userId);
    if (elsewhere) return elsewhere.membership === 'invite' && serverOf(elsewhere.sender) === server;
    const member = await rooms.stateEvent(roomId, 'm.room.member', userId);
    return member?.pdu.content['membership'] === 'invite' && serverOf(member.pdu.sender) === server;
  }
}

function unusable(server: string): MatrixError {
  return new MatrixError(502, 'M_UNKNOWN', `${server} sent an unusable response.`, { organisation: server });
}

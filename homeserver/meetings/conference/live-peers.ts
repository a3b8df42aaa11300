/** The request that carries live messages to other instances, and the EDU that older ones get in its place. */
import { FederationError, type FederationRequest } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { ExpiringMap } from '../../base/expiring-map.ts';
import { CONFERENCE_EDU } from '../../base/names.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import { type LiveAnswer, liveAnswerSchema } from './messages.ts';

const TIMEOUT_MS = 2_500;
const MAX_ANSWER_BYTES = 16 * 1024;
/** An instance that did not know the request is asked again after this time, in ms. */
const OLDER_MS = 10 * 60 * 1000;
const MAX_SERVERS = 5_000;
/** What the EDU can say of a message. */
const IN_EDU = ['participants', 'resend', 'relink'] as const;

/** How live messages reach other instances. */
export interface LivePeers {
  /** @returns an answer without orders where the server does not know them. Rejects when it did not answer, or not well. */
  say(server: string, roomId: string, message: JsonObject): Promise<LiveAnswer>;
  /** The server has sent such a message itself. */
  speaksLive(server: string): void;
}

interface Requester {
  request(request: FederationRequest): Promise<JsonObject>;
}

export function livePeers(client: Requester, sender: Pick<Sender, 'edu'>): LivePeers {
  /** Servers of builds before the request, and others that are no instances. */
  const older = new ExpiringMap<true>({ lifeMs: OLDER_MS, maxSize: MAX_SERVERS });

  const sayByEdu = (server: string, roomId: string, message: JsonObject): LiveAnswer => {
    const said = IN_EDU.flatMap((name) => {
      const value = message[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    if (said.length > 0) sender.edu([server], CONFERENCE_EDU, { room_id: roomId, ...Object.fromEntries(said) });
    return {};
  };

  return {
    async say(server, roomId, message) {
      if (older.get(server)) return sayByEdu(server, roomId, message);
      try {
        const answer = await client.request({
          destination: server,
          method: 'PUT',
          onBehalfOf: 'server',
          live: true,
          path: `/_hansetag/federation/v1/conference/${encodeURIComponent(roomId)}/live`,
          body: message,
          timeoutMs: TIMEOUT_MS,
          maxBytes: MAX_ANSWER_BYTES,
        });
        return liveAnswerSchema.parse(answer);
      } catch (error) {
        if (!(error instanceof FederationError) || error.errcode !== 'M_UNRECOGNIZED') throw error;
        older.take(server);
        older.set(server, true);
        return sayByEdu(server, roomId, message);
      }
    },
    speaksLive: (server) => {
      older.take(server);
    },
  };
}

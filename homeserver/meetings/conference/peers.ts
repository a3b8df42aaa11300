/** Requests about conferences to other instances: signed, parsed, bounded. The other side is in federation-router.ts. */
import { FederationError, type FederationErrorCode, type OnBehalfOf } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { UNKNOWN_LINK } from '../../base/names.ts';
import type { Organisations } from '../organisations.ts';
import type { LinkPeers } from './link-ports.ts';
import { parseSourceKey } from './local-participant.ts';
import { splitParticipantId } from './membership.ts';
import { linkHalfSchema, offersSchema } from './messages.ts';

/** Control of links must fail fast: a person waits for the picture. In ms. */
const TIMEOUT_MS = 8_000;
const CHECK_TIMEOUT_MS = 4_000;
/** Answers: a half of a link, and RTP parameters of up to two thousand sources. */
const MAX_HALF_BYTES = 16 * 1024;
const MAX_OFFERS_BYTES = 4 * 1024 * 1024;

interface Requester {
  request(options: {
    destination: string;
    method: string;
    onBehalfOf: OnBehalfOf;
    path: string;
    body?: JsonObject;
    timeoutMs?: number;
    maxBytes?: number;
  }): Promise<unknown>;
}

/** Failures in which the other server has said nothing. */
const SILENCE: ReadonlySet<FederationErrorCode> = new Set(['NOT_FOUND', 'UNREACHABLE', 'TIMEOUT']);

function linkPath(roomId: string, linkId: string): string {
  return `/_hansetag/federation/v1/conference/${encodeURIComponent(roomId)}/link/${encodeURIComponent(linkId)}`;
}

/** @param askToOpen sends the live message that asks for a link */
export function linkPeers(
  client: Requester,
  organisations: Organisations,
  askToOpen: LinkPeers['askToOpen'],
): LinkPeers {
  return {
    discovery: ({ server }) => organisations.discovery(server),
    forgetDiscovery: ({ server }) => organisations.forget(server),
    ask: ({ server }) => organisations.ask(server),
    async open({ server }, roomId, linkId, half) {
      const answer = await client.request({
        destination: server,
        method: 'PUT',
        onBehalfOf: 'server',
        path: linkPath(roomId, linkId),
        body: { ...half, srtp: { ...half.srtp } },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_HALF_BYTES,
      });
      return linkHalfSchema.parse(answer);
    },
    async check({ server }, roomId, linkId) {
      await client.request({
        destination: server,
        method: 'GET',
        onBehalfOf: 'server',
        path: linkPath(roomId, linkId),
        timeoutMs: CHECK_TIMEOUT_MS,
        maxBytes: MAX_HALF_BYTES,
      });
    },
    async wants({ server }, roomId, linkId, keys) {
      const wants = keys.map((key) => {
        const { participantId, source } = parseSourceKey(key);
        const { userId, deviceId } = splitParticipantId(participantId);
        return { user_id: userId, device_id: deviceId, source };
      });
      const answer = await client.request({
        destination: server,
        method: 'PUT',
        onBehalfOf: 'server',
        path: `${linkPath(roomId, linkId)}/wants`,
        body: { wants },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_OFFERS_BYTES,
      });
      return offersSchema.parse(answer).sources;
    },
    async close({ server }, roomId, linkId) {
      await client.request({
        destination: server,
        method: 'DELETE',
        onBehalfOf: 'server',
        path: linkPath(roomId, linkId),
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_HALF_BYTES,
      });
    },
    askToOpen,
    isUnknownLink: (error) =>
      typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === UNKNOWN_LINK,
    isSilence: (error) => error instanceof FederationError && SILENCE.has(error.code),
  };
}

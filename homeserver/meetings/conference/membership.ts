/**
 * The MatrixRTC membership event of one device in a conference: what is written on joining and leaving, and how a
 * membership that anybody wrote is read.
 * @see MSC3401, MSC4143; the state key form is that of rooms without MSC3757 owned state.
 */
import { z } from 'zod';
import { isJsonObject, type JsonObject } from '../../../federation/json.ts';
import type { Pdu } from '../../../federation/event.ts';
import { isTime, shownTimeSchema } from '../../../protocol/values.ts';
import { CALL_MEMBER, GUEST_FIELD, SFU_TRANSPORT } from '../../base/names.ts';

/** A membership that nobody renewed ends after this time, in ms (the value MatrixRTC clients use). */
export const MEMBERSHIP_EXPIRES_MS = 4 * 60 * 60 * 1000;
/** The longest that a membership may last from its creation on, in ms. */
const MAX_EXPIRES_MS = 7 * 24 * 60 * 60 * 1000;

/** One device that says it is in the conference. */
export interface CallMembership {
  participantId: string;
  userId: string;
  deviceId: string;
  /** Unix ms. */
  joinedAt: number;
  expiresAt: number;
  guest: boolean;
}

const contentSchema = z.object({
  application: z.literal('m.call'),
  device_id: z.string().min(1).max(255),
  created_ts: shownTimeSchema,
  expires: z.number().int().min(0).max(MAX_EXPIRES_MS).optional(),
  [GUEST_FIELD]: z.boolean().optional(),
});

/** `<user id>|<device id>`, unique across organisations because a user id is. */
export function participantIdOf(userId: string, deviceId: string): string {
  return `${userId}|${deviceId}`;
}

/** The parts of a participant id. A `|` can stand in a user's localpart or a device id, but in no server name. */
export function splitParticipantId(participantId: string): { userId: string; deviceId: string; server: string } {
  const colon = participantId.indexOf(':');
  const bar = participantId.indexOf('|', colon);
  return {
    userId: participantId.slice(0, bar),
    deviceId: participantId.slice(bar + 1),
    server: participantId.slice(colon + 1, bar),
  };
}

/** State key of a device's membership. The leading `_` keeps it clear of the rule for keys that start with `@`. */
export function membershipKey(userId: string, deviceId: string): string {
  return `_${userId}_${deviceId}_m.call`;
}

/** Whose membership stands under a state key; undefined when the key is none of the form above. */
export function ownerOfKey(key: string): { userId: string; deviceId: string } | undefined {
  // A localpart has no colon and a server name no underscore.
  const [, userId, deviceId] = /^_(@[^:]+:[^_]+)_(.{1,255})_m\.call$/s.exec(key) ?? [];
  return userId === undefined || deviceId === undefined ? undefined : { userId, deviceId };
}

/** Content of the event that enters a device into the conference. */
export function joinedContent(options: {
  deviceId: string;
  serverName: string;
  joinedAt: number;
  guest: boolean;
  /** Unix ms: when it is written, which is later than `joinedAt` when it is renewed. */
  now: number;
}): JsonObject {
  return {
    application: 'm.call',
    call_id: '',
    scope: 'm.room',
    device_id: options.deviceId,
    created_ts: options.joinedAt,
    expires: Math.min(options.now - options.joinedAt + MEMBERSHIP_EXPIRES_MS, MAX_EXPIRES_MS),
    focus_active: { type: SFU_TRANSPORT, focus_selection: 'multi_sfu' },
    foci_preferred: [{ type: SFU_TRANSPORT, server_name: options.serverName }],
    ...(options.guest ? { [GUEST_FIELD]: true } : {}),
  };
}

/** Whether a homeserver such as ours has written this for a device, and not a client of another make for itself. */
export function isOwnMembership(content: JsonObject): boolean {
  const focus = content['focus_active'];
  return isJsonObject(focus) && focus['type'] === SFU_TRANSPORT;
}

/**
 * Reads a membership event. Undefined when the device has left, the membership has expired, or the sender wrote
 * it for somebody else (the auth rules let anybody with the power level write any key that does not start with `@`).
 */
export function readMembership(pdu: Pdu, now: number): CallMembership | undefined {
  if (pdu.type !== CALL_MEMBER) return undefined;
  const parsed = contentSchema.safeParse(pdu.content);
  if (!parsed.success) return undefined;
  const content = parsed.data;
  if (pdu.state_key !== membershipKey(pdu.sender, content.device_id)) return undefined;
  const joinedAt = Math.min(content.created_ts ?? pdu.origin_server_ts, pdu.origin_server_ts);
  const expiresAt = joinedAt + (content.expires ?? MEMBERSHIP_EXPIRES_MS);
  if (expiresAt <= now || !isTime(joinedAt)) return undefined;
  return {
    participantId: participantIdOf(pdu.sender, content.device_id),
    userId: pdu.sender,
    deviceId: content.device_id,
    joinedAt,
    expiresAt,
    guest: content[GUEST_FIELD] === true,
  };
}

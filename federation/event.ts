import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { contentHash, eventId } from './event-hash.ts';
import { isGivenEventId, isHashRoomId, isRoomId, isUserId } from './identifiers.ts';
import { canonicalJson, CanonicalJsonError, DEPTH, isJsonObject, isWithinDepth } from './json.ts';
import type { JsonObject, JsonValue } from './json.ts';
import type { Pdu, UnsignedPdu } from './pdu.ts';
import { redactFields } from './redaction.ts';
import type { RoomVersion } from './room-versions.ts';
import { signJson } from './signing.ts';
import type { SigningKey } from './signing.ts';
import { storedForm, MAX_REFERENCES, wireForm } from './wire-form.ts';

export { isEventId, isHashRoomId, isRoomAlias, isRoomId, isServerName, isUserId, serverOf } from './identifiers.ts';
export { referenceHashes as citedHashes, contentHash, eventId } from './event-hash.ts';
export type { Pdu, UnsignedPdu } from './pdu.ts';
export { wireForm } from './wire-form.ts';
export { BadSignatureError, checkEventSignaturesAndHash, NoKeyError } from './event-signatures.ts';

/** Thrown when an event does not have the format of its room version. Such an event is dropped. */
export class BadEventError extends Error {
  override readonly name = 'BadEventError';
  readonly code: 'M_BAD_JSON' | 'M_TOO_LARGE';

  constructor(message: string, code: 'M_BAD_JSON' | 'M_TOO_LARGE' = 'M_BAD_JSON') {
    super(message);
    this.code = code;
  }
}

/** An event is at most this long, as canonical JSON in UTF-8 bytes. @see client-server API, "Size limits" */
export const MAX_EVENT_BYTES = 65_536;
export const MAX_PREV_EVENTS = 20;
export const MAX_AUTH_EVENTS = 10;
const MAX_FIELD = 255;

const MAX_SIGNERS = 1_000;
const MAX_SIGNATURES = 100;

/** References to other events. Checking stops at the first bad one: a schema of elements would report each of a million. */
const references = z.custom<string[]>(
  (value) => Array.isArray(value) && value.length <= MAX_REFERENCES && value.every(isEventReference),
  'must be a list of event ids',
);
const signaturesSchema = z.custom<Record<string, Record<string, string>>>(
  (value) => hasEntries(value, MAX_SIGNERS, (keys) => hasEntries(keys, MAX_SIGNATURES, isSignature)),
  'must be signatures by server and key',
);
/** Other members are not checked, and cost nothing. */
const pduSchema = z.object({
  type: z.string(),
  sender: z.string(),
  room_id: z.string().optional(),
  state_key: z.string().optional(),
  content: z.custom<JsonObject>(isJsonObject, 'must be an object'),
  auth_events: references,
  prev_events: references,
  depth: z.int().nonnegative(),
  origin_server_ts: z.int(),
  hashes: z.object({ sha256: z.string().max(100) }),
  signatures: signaturesSchema,
  unsigned: z.custom<JsonObject>(isJsonObject, 'must be an object').optional(),
});

function isEventReference(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_FIELD && value.startsWith('$') && !value.includes('\0');
}

function isSignature(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MAX_FIELD;
}

/** Whether a value is an object of at most `most` entries, all of them good. */
function hasEntries(value: unknown, most: number, isGood: (entry: unknown) => boolean): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.values(value);
  return entries.length <= most && entries.every(isGood);
}

/** How strictly `parsePdu` checks. */
export interface ParsePduOptions {
  /** Events in `/backfill` responses may reference more events than today's limits allow. */
  readonly anyNumberOfReferences?: boolean;
  /** Invites and what ends them are kept without the rest of the room; they need no `prev_events`. */
  readonly outsideRoom?: boolean;
}

/**
 * Checks that a parsed JSON value has the format of an event of this room version.
 *
 * @returns the same value, not a copy: the hash covers members that we do not know. Only of the oldest room versions it
 *   is the form that we keep: see wire-form.ts
 * @throws BadEventError
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU", step 1
 */
export function parsePdu(value: JsonValue, version: RoomVersion, options: ParsePduOptions = {}): Pdu {
  const kept = isJsonObject(value) ? storedForm(value, version) : value;
  if (kept === undefined)
    throw new BadEventError('prev_events and auth_events are not lists of an event id and hashes.');
  const result = pduSchema.safeParse(kept);
  if (!result.success) throw new BadEventError(describe(result.error));
  const pdu = kept as Pdu;
  checkLimits(pdu, version, options);
  if (!isUserId(pdu.sender)) throw new BadEventError('The sender is not a user id.');
  // Without prev_events there is no state before the event to check it against.
  if (options.outsideRoom !== true && pdu.prev_events.length === 0 && !isCreate(pdu)) {
    throw new BadEventError('The event has no prev_events.');
  }
  if (version.eventIds === 'given' && !isGivenEventId(pdu.event_id))
    throw new BadEventError('The event has no event_id.');
  if (version.hashRoomIds && isCreate(pdu)) {
    if (pdu.room_id !== undefined) throw new BadEventError('A create event of this room version has no room_id.');
  } else if (pdu.room_id === undefined || !(version.hashRoomIds ? isHashRoomId : isRoomId)(pdu.room_id)) {
    throw new BadEventError('The room_id is missing or malformed.');
  }
  return pdu;
}

/** Whether an event is the create event of a room. */
export function isCreate(event: { type: string; state_key?: string }): boolean {
  return event.type === 'm.room.create' && event.state_key === '';
}

/**
 * The id of the room that an event belongs to. For the create event of a version 12 room that is its own hash.
 *
 * @throws BadEventError when the event names no room
 */
export function roomIdOf(pdu: UnsignedPdu, version: RoomVersion): string {
  if (version.hashRoomIds && isCreate(pdu)) return `!${eventId(pdu, version).slice(1)}`;
  if (pdu.room_id === undefined) throw new BadEventError('The event has no room_id.');
  return pdu.room_id;
}

/** The redacted copy of an event. */
export function redact(pdu: Pdu, version: RoomVersion): Pdu {
  return redactFields(pdu, version) as Pdu;
}

/**
 * The id of the event that an `m.room.redaction` event redacts, from where its room version has it.
 */
export function redactsOf(pdu: Pdu, version: RoomVersion): string | undefined {
  const target = version.redactsInContent ? pdu.content['redacts'] : pdu.redacts;
  return isEventReference(target) ? target : undefined;
}

/** Adds the content hash and the first signature to a new event, and its id where that is not derived from the hash. */
export function hashAndSign(pdu: UnsignedPdu, version: RoomVersion, serverName: string, key: SigningKey): Pdu {
  const { hashes: _hashes, signatures: _signatures, ...unnamed } = pdu;
  const isNameless = version.eventIds === 'given' && unnamed['event_id'] === undefined;
  const rest = isNameless ? { ...unnamed, event_id: newEventId(serverName) } : unnamed;
  const hashed = { ...rest, hashes: { sha256: contentHash(rest, version) }, signatures: {} };
  return addSignature(hashed as unknown as Pdu, version, serverName, key);
}

/** Adds the signature of one more server, as for an invitation or a restricted join. */
export function addSignature(pdu: Pdu, version: RoomVersion, serverName: string, key: SigningKey): Pdu {
  const { signatures } = signJson(wireForm(redactFields(pdu, version), version), serverName, key);
  return { ...pdu, signatures } as Pdu;
}

function newEventId(serverName: string): string {
  return `$${randomBytes(18).toString('base64url')}:${serverName}`;
}

function checkLimits(pdu: Pdu, version: RoomVersion, options: ParsePduOptions): void {
  if (options.anyNumberOfReferences !== true) {
    if (pdu.prev_events.length > MAX_PREV_EVENTS) throw new BadEventError('Too many prev_events.');
    if (pdu.auth_events.length > MAX_AUTH_EVENTS) throw new BadEventError('Too many auth_events.');
  }
  for (const name of ['type', 'sender', 'room_id', 'state_key'] as const) {
    const value = pdu[name];
    if (value !== undefined && fieldLength(value, version) > MAX_FIELD) {
      throw new BadEventError(`The ${name} is too long.`, 'M_TOO_LARGE');
    }
    // Neither PostgreSQL nor other homeservers can store these.
    if (value?.includes('\0') === true) throw new BadEventError(`The ${name} contains a null character.`);
  }
  if (!isWithinDepth(pdu, DEPTH.event)) throw new BadEventError('The event is nested too deeply.');
  if (Buffer.byteLength(canonical(wireForm(pdu, version))) > MAX_EVENT_BYTES)
    throw new BadEventError('The event is too large.', 'M_TOO_LARGE');
}

function fieldLength(value: string, version: RoomVersion): number {
  return version.byteLimits ? Buffer.byteLength(value) : [...value].length;
}

function canonical(pdu: JsonObject): string {
  try {
    return canonicalJson(pdu);
  } catch (error) {
    if (error instanceof CanonicalJsonError) throw new BadEventError(error.message);
    throw error;
  }
}

function describe(error: z.ZodError): string {
  const issue = error.issues[0];
  return `Malformed event: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`;
}

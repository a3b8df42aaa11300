import { decodeBase64, Base64Error } from './base64.ts';
import { contentHash, eventId } from './event-hash.ts';
import { serverOf, IdentifierError } from './identifiers.ts';
import { isJsonObject, member } from './json.ts';
import type { JsonObject } from './json.ts';
import type { KeyLookup } from './keyring.ts';
import type { Pdu } from './pdu.ts';
import { redactFields } from './redaction.ts';
import type { RoomVersion } from './room-versions.ts';
import { verifySignatureInPool } from './signing.ts';
import { wireForm } from './wire-form.ts';

/** Thrown when a required signature of an event is missing, wrong, or made with a key that we cannot find. */
export class BadSignatureError extends Error {
  override readonly name = 'BadSignatureError';
  readonly code = 'M_FORBIDDEN';
  /** The server whose signature is missing or wrong. */
  readonly server: string;

  constructor(message: string, server: string) {
    super(message);
    this.server = server;
  }
}

/** Thrown when the keys of a server could not be fetched: the signature may be valid, and may be checked later. */
export class NoKeyError extends BadSignatureError {}

// An event is rarely signed with more than one key of a server; the limit bounds key look-ups per event.
const MAX_KEYS_PER_SERVER = 5;

/**
 * Checks the required signatures of an event and its content hash.
 *
 * Every signature of a required server by a key that is known and (from room version 5 on) valid at `origin_server_ts`
 * must verify; signatures by unknown or expired keys are skipped; at least one must remain.
 *
 * @returns the event, or its redacted copy when the content hash does not match
 * @throws BadSignatureError when the event must be dropped
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU", steps 2 and 3
 */
export async function checkEventSignaturesAndHash(pdu: Pdu, version: RoomVersion, keyring: KeyLookup): Promise<Pdu> {
  const redacted = redactFields(pdu, version);
  const signed = wireForm(redacted, version);
  // Earlier room versions accept a key whatever its validity.
  const validAt = version.keyValidity ? pdu.origin_server_ts : 0;
  for (const server of serversThatMustSign(pdu, version)) await checkServer(pdu, signed, server, validAt, keyring);
  return hashMatches(pdu, version) ? pdu : (redacted as Pdu);
}

/**
 * The servers that must have signed an event: the sender's, except for a third-party invite (the auth rules check that
 * one); and that of `join_authorised_via_users_server` in a restricted join.
 */
export function serversThatMustSign(pdu: Pdu, version: RoomVersion): Set<string> {
  const servers = new Set<string>();
  const isMember = pdu.type === 'm.room.member';
  const membership = member(pdu.content, 'membership');
  const thirdParty = isMember && membership === 'invite' && Object.hasOwn(pdu.content, 'third_party_invite');
  if (!thirdParty) servers.add(serverOf(pdu.sender));
  // In room versions 1 and 2, also the server in the event id.
  if (version.eventIds === 'given') servers.add(serverOf(eventId(pdu, version)));
  const authoriser = member(pdu.content, 'join_authorised_via_users_server');
  if (isMember && version.restrictedJoins && membership === 'join' && authoriser !== undefined) {
    servers.add(serverOfAuthoriser(authoriser, pdu));
  }
  return servers;
}

function serverOfAuthoriser(authoriser: unknown, pdu: Pdu): string {
  try {
    if (typeof authoriser === 'string') return serverOf(authoriser);
  } catch (error) {
    if (!(error instanceof IdentifierError)) throw error;
  }
  throw new BadSignatureError('join_authorised_via_users_server is not a user id.', serverOf(pdu.sender));
}

async function checkServer(pdu: Pdu, signed: JsonObject, server: string, validAt: number, keyring: KeyLookup) {
  const signatures = member(pdu.signatures, server);
  const keyIds = isJsonObject(signatures) ? Object.keys(signatures).filter((id) => id.startsWith('ed25519:')) : [];
  if (keyIds.length === 0) throw new BadSignatureError(`The event has no signature of ${server}.`, server);
  if (keyIds.length > MAX_KEYS_PER_SERVER)
    throw new BadSignatureError(`The event has too many signatures of ${server}.`, server);
  let verified = false;
  for (const keyId of keyIds) {
    const publicKey = await keyring.key(server, keyId, validAt);
    if (publicKey === undefined) continue;
    if (!(await verifySignatureInPool(signed, server, keyId, publicKey))) {
      throw new BadSignatureError(`The signature of ${server} with ${keyId} is wrong.`, server);
    }
    verified = true;
  }
  if (!verified) throw new NoKeyError(`No key of ${server} that signed the event could be found.`, server);
}

function hashMatches(pdu: Pdu, version: RoomVersion): boolean {
  try {
    return decodeBase64(pdu.hashes.sha256).equals(decodeBase64(contentHash(pdu, version)));
  } catch (error) {
    if (error instanceof Base64Error) return false;
    throw error;
  }
}

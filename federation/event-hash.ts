import { createHash } from 'node:crypto';
import { encodeBase64, encodeBase64Url } from './base64.ts';
import { canonicalJson } from './json.ts';
import type { JsonObject } from './json.ts';
import { redactFields } from './redaction.ts';
import type { RoomVersion } from './room-versions.ts';
import { wireForm } from './wire-form.ts';

/** The content hash: unpadded base64 of the SHA-256 over everything but `unsigned`, `signatures` and `hashes`. */
export function contentHash(event: JsonObject, version: RoomVersion): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...rest } = wireForm(event, version);
  return encodeBase64(sha256(canonicalJson(rest)));
}

/**
 * The event id: `$` and the base64 of the SHA-256 over the redacted event, URL-safe from room version 4 on; before room
 * version 3 the id that the sender's server chose.
 *
 * @see Matrix specification, server-server API, "Calculating the reference hash for an event"
 */
export function eventId(pdu: JsonObject, version: RoomVersion): string {
  if (version.eventIds === 'given') {
    const { event_id: given } = pdu;
    if (typeof given !== 'string') throw new Error('The event was not parsed: it has no id.');
    return given;
  }
  const encode = version.eventIds === 'base64url' ? encodeBase64Url : encodeBase64;
  return `$${encode(referenceHash(pdu, version))}`;
}

/** The hashes by which events of room versions 1 and 2 reference another event, beside its id. */
export function referenceHashes(pdu: JsonObject, version: RoomVersion): { sha256: string } {
  return { sha256: encodeBase64(referenceHash(pdu, version)) };
}

function referenceHash(pdu: JsonObject, version: RoomVersion): Buffer {
  const redacted = wireForm(redactFields(pdu, version), version);
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = redacted;
  return sha256(canonicalJson(rest));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

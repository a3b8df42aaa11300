import { createHash } from 'node:crypto';
import { encodeBase64, encodeBase64Url } from './base64.ts';
import { canonicalJson } from './json.ts';
import type { JsonObject } from './json.ts';
import { redactFields } from './redaction.ts';
import type { RoomVersion } from './room-versions.ts';

/** The content hash: unpadded base64 of the SHA-256 over everything but `unsigned`, `signatures` and `hashes`. */
export function contentHash(event: JsonObject): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...rest } = event;
  return encodeBase64(sha256(canonicalJson(rest)));
}

/**
 * The event id: `$` and the base64 of the SHA-256 over the redacted event, URL-safe from room version 4 on.
 *
 * @see Matrix specification, server-server API, "Calculating the reference hash for an event"
 */
export function eventId(pdu: JsonObject, version: RoomVersion): string {
  const { signatures: _signatures, unsigned: _unsigned, ...rest } = redactFields(pdu, version);
  const encode = version.eventIds === 'base64url' ? encodeBase64Url : encodeBase64;
  return `$${encode(sha256(canonicalJson(rest)))}`;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Events from other servers: parsed by the format of the room version, signatures and hashes checked. */
import {
  BadEventError,
  BadSignatureError,
  checkEventSignaturesAndHash,
  NoKeyError,
  parsePdu,
} from '../../../federation/event.ts';
import type { ParsePduOptions, Pdu } from '../../../federation/event.ts';
import type { JsonValue } from '../../../federation/json.ts';
import type { KeyLookup } from '../../../federation/keyring.ts';
import type { RoomVersion } from '../../../federation/room-versions.ts';

/** Signatures checked concurrently; each may need a key from another server. */
const PARALLEL = 64;

/** @throws BadEventError, BadSignatureError when the event must be dropped */
export async function checkedEvent(
  value: JsonValue,
  version: RoomVersion,
  keyring: KeyLookup,
  options?: ParsePduOptions,
): Promise<Pdu> {
  return checkEventSignaturesAndHash(parsePdu(value, version, options), version, keyring);
}

/** Events that were checked one by one. */
export interface SortedEvents {
  readonly good: Pdu[];
  /** How many could not be checked because a server's keys could not be fetched. */
  readonly unchecked: number;
}

/** The valid ones among many events; an invalid one does not affect the others. */
export async function checkedEvents(
  values: readonly JsonValue[],
  version: RoomVersion,
  keyring: KeyLookup,
  options?: ParsePduOptions,
): Promise<Pdu[]> {
  return (await sortedEvents(values, version, keyring, options)).good;
}

/** The valid ones among many events, and how many could not be checked. */
export async function sortedEvents(
  values: readonly JsonValue[],
  version: RoomVersion,
  keyring: KeyLookup,
  options?: ParsePduOptions,
): Promise<SortedEvents> {
  const good: Pdu[] = [];
  let unchecked = 0;
  for (let at = 0; at < values.length; at += PARALLEL) {
    const some = await Promise.all(
      values.slice(at, at + PARALLEL).map(async (value) => {
        try {
          return await checkedEvent(value, version, keyring, options);
        } catch (error) {
          if (error instanceof NoKeyError) unchecked += 1;
          if (error instanceof BadEventError || error instanceof BadSignatureError) return undefined;
          throw error;
        }
      }),
    );
    for (const pdu of some) if (pdu) good.push(pdu);
  }
  return { good, unchecked };
}

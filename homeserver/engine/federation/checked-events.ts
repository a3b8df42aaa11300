/** Events as other servers give them: parsed by the format of the room version, signatures and hashes checked. */
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

/** Signatures checked at the same time; each may need a key from another server. */
const PARALLEL = 64;

/** @throws BadEventError or BadSignatureError: the event is to be dropped */
export async function checkedEvent(
  value: JsonValue,
  version: RoomVersion,
  keyring: KeyLookup,
  options?: ParsePduOptions,
): Promise<Pdu> {
  return checkEventSignaturesAndHash(parsePdu(value, version, options), version, keyring);
}

/** Events of which each was looked at for itself. */
export interface SortedEvents {
  readonly good: Pdu[];
  /** How many may be good, but could not be checked because the keys of a server could not be had. */
  readonly unchecked: number;
}

/** The good ones among many events; a bad one must not spoil the others. */
export async function checkedEvents(
  values: readonly JsonValue[],
  version: RoomVersion,
  keyring: KeyLookup,
  options?: ParsePduOptions,
): Promise<Pdu[]> {
  return (await sortedEvents(values, version, keyring, options)).good;
}

/** The good ones among many events, and how many could not be checked. */
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

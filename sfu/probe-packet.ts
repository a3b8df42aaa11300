/**
 * Questions and answers of the link probe, 80 bytes each, so that an answer is never larger than its question:
 * magic (4), type (1), zero (3), link tag (16), sequence number (8), nonce (16), HMAC-SHA256 of all before (32).
 *
 * The key is that of the side that answers, made with its half of the link and given to the peer over the signed
 * federation channel. Both directions use it; the type, being authenticated, keeps an answer from being a question.
 * The nonce is random in each question and comes back in the answer: the peer has chosen the key, and could otherwise
 * answer in the name of an address at which nobody has asked for anything (RFC 7675 section 5.1, for the same reason).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

export const PROBE_SIZE = 80;
export const PROBE_KEY_SIZE = 32;
export const NONCE_SIZE = 16;

const MAGIC = Buffer.from('HTLP');
const TYPES = { question: 1, answer: 2 } as const;
const TYPE_AT = 4;
const TAG_AT = 8;
const SEQUENCE_AT = 24;
const NONCE_AT = 32;
const MAC_AT = 48;

export interface Probe {
  readonly type: keyof typeof TYPES;
  /** Names the link without telling its id: hex of `linkTag`. */
  readonly tag: string;
  /** Rises from question to question, so that none is answered twice. */
  readonly sequence: bigint;
  /** 16 random bytes in hex. */
  readonly nonce: string;
}

/** 16 bytes in hex that name a link on the wire. */
export function linkTag(linkId: string): string {
  return createHash('sha256').update(linkId).digest('hex').slice(0, 32);
}

export function writeProbe({ type, tag, sequence, nonce }: Probe, key: Buffer): Buffer {
  const packet = Buffer.alloc(PROBE_SIZE);
  MAGIC.copy(packet);
  packet[TYPE_AT] = TYPES[type];
  packet.write(tag, TAG_AT, 'hex');
  packet.writeBigUInt64BE(sequence, SEQUENCE_AT);
  packet.write(nonce, NONCE_AT, 'hex');
  macOf(packet, key).copy(packet, MAC_AT);
  return packet;
}

/** Reads a packet without trusting it yet: `isAuthentic` comes next. Undefined if it is none of ours. */
export function readProbe(packet: Buffer): Probe | undefined {
  if (packet.length !== PROBE_SIZE || !packet.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const code = packet[TYPE_AT];
  if (code !== TYPES.question && code !== TYPES.answer) return undefined;
  return {
    type: code === TYPES.question ? 'question' : 'answer',
    tag: packet.toString('hex', TAG_AT, SEQUENCE_AT),
    sequence: packet.readBigUInt64BE(SEQUENCE_AT),
    nonce: packet.toString('hex', NONCE_AT, MAC_AT),
  };
}

export function isAuthentic(packet: Buffer, key: Buffer): boolean {
  return timingSafeEqual(macOf(packet, key), packet.subarray(MAC_AT));
}

function macOf(packet: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(packet.subarray(0, MAC_AT)).digest();
}

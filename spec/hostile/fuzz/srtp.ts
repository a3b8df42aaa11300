/** The sending side of SRTP with AEAD_AES_256_GCM, so that what is wrong is what is inside (RFC 3711, RFC 7714). */
import { createCipheriv } from 'node:crypto';

const KEY = 32;
const SALT = 12;
const LABELS = { rtpKey: 0, rtpSalt: 2, rtcpKey: 3, rtcpSalt: 5 };
const ENCRYPTED = 0x8000_0000;

export class SrtpSender {
  readonly #rtp: { readonly key: Buffer; readonly salt: Buffer };
  readonly #rtcp: { readonly key: Buffer; readonly salt: Buffer };
  #index = 0;

  /** @param keyBase64 of the key, then the salt */
  constructor(keyBase64: string) {
    const bytes = Buffer.from(keyBase64, 'base64');
    const derive = (label: number, length: number): Buffer => derived(bytes, label, length);
    this.#rtp = { key: derive(LABELS.rtpKey, KEY), salt: derive(LABELS.rtpSalt, SALT) };
    this.#rtcp = { key: derive(LABELS.rtcpKey, KEY), salt: derive(LABELS.rtcpSalt, SALT) };
  }

  /** @param headerLength what is not encrypted, in bytes; the rollover counter is 0 */
  rtp(packet: Buffer, headerLength: number): Buffer {
    if (packet.length < Math.max(12, headerLength)) return packet;
    const iv = Buffer.alloc(SALT);
    packet.copy(iv, 2, 8, 12);
    packet.copy(iv, 10, 2, 4);
    const header = packet.subarray(0, headerLength);
    return Buffer.concat([header, sealed(this.#rtp, iv, header, packet.subarray(headerLength))]);
  }

  rtcp(packet: Buffer): Buffer {
    if (packet.length < 8) return packet;
    const index = Buffer.alloc(4);
    index.writeUInt32BE((ENCRYPTED + this.#index) >>> 0);
    const iv = Buffer.alloc(SALT);
    packet.copy(iv, 2, 4, 8);
    iv.writeUInt32BE(this.#index, 8);
    this.#index += 1;
    const header = packet.subarray(0, 8);
    const rest = sealed(this.#rtcp, iv, Buffer.concat([header, index]), packet.subarray(8));
    return Buffer.concat([header, rest, index]);
  }
}

function sealed({ key, salt }: { key: Buffer; salt: Buffer }, iv: Buffer, clear: Buffer, secret: Buffer): Buffer {
  const mixed = Buffer.from(iv.map((byte, at) => byte ^ (salt[at] ?? 0)));
  const cipher = createCipheriv('aes-256-gcm', key, mixed);
  cipher.setAAD(clear);
  return Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
}

/** Key derivation with a rate of 0. @see RFC 3711, section 4.3; RFC 7714, section 11 */
function derived(master: Buffer, label: number, length: number): Buffer {
  const iv = Buffer.alloc(16);
  master.copy(iv, 0, KEY, KEY + SALT);
  iv[7] = (iv[7] ?? 0) ^ label;
  const cipher = createCipheriv('aes-256-ctr', master.subarray(0, KEY), iv);
  return cipher.update(Buffer.alloc(length));
}

/** Thrown when a text is not base64. */
export class Base64Error extends Error {
  override readonly name = 'Base64Error';
  readonly code = 'M_INVALID_PARAM';
}

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** Unpadded standard base64, as hashes, keys and signatures are written. */
export function encodeBase64(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64').replace(/=+$/, '');
}

/** Unpadded URL-safe base64, as event ids are written. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64url');
}

/**
 * Decodes base64 with or without padding, in the standard or the URL-safe alphabet.
 *
 * @throws Base64Error when the text contains anything else or has an impossible length.
 * @see Matrix specification, appendices, "Unpadded Base64" (decoders should accept padding)
 */
export function decodeBase64(text: string): Buffer {
  if (!BASE64.test(text) || text.replace(/=+$/, '').length % 4 === 1) throw new Base64Error('Not base64.');
  return Buffer.from(text, 'base64');
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

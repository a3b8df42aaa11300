/** The thread in which a PKCS#12 file is opened. */
import { parentPort, workerData } from 'node:worker_threads';
import forge from 'node-forge';
import type { Pkcs12Answer, Pkcs12Question } from './pkcs12.ts';

const { der, password } = workerData as Pkcs12Question;
parentPort?.postMessage(open(Buffer.from(der).toString('binary'), password));

/** @param bytes a character for each */
function open(bytes: string, secret: string): Pkcs12Answer {
  let isProtected: boolean;
  if (isCutOff(bytes)) return { kind: 'malformed' };
  try {
    isProtected = elements(forge.asn1.fromDer(bytes, false)).length > 2;
  } catch {
    return { kind: 'malformed' };
  }
  try {
    return read(bytes, secret, isProtected);
  } catch (error) {
    // Without a check sum nobody can tell a wrong password from a damaged file, and the password is more likely.
    const isAboutPassword = !isProtected || (error instanceof Error && /MAC could not be verified/.test(error.message));
    return { kind: isAboutPassword ? 'wrong-password' : 'malformed' };
  }
}

/** Whether the file is shorter than it says; the library would read what is there. */
function isCutOff(bytes: string): boolean {
  const LONG_FORM = 0x80;
  const first = bytes.charCodeAt(1);
  // Of an indefinite length, which old programs write, the end is marked.
  if (first === LONG_FORM) return !bytes.endsWith('\0\0');
  const count = first > LONG_FORM ? first - LONG_FORM : 0;
  const length =
    count === 0 ? first : Number.parseInt(Buffer.from(bytes.slice(2, 2 + count), 'binary').toString('hex'), 16);
  return !(2 + count + length <= bytes.length);
}

/**
 * The check sum takes the characters of a password, and newer ways of encryption its UTF-8, which is not the same for
 * umlauts. The library takes one form for both, so a second attempt goes without the check sum, which is good by then.
 */
function read(bytes: string, secret: string, isProtected: boolean): Pkcs12Answer {
  const file = forge.asn1.fromDer(bytes, false);
  try {
    return contentOf(forge.pkcs12.pkcs12FromAsn1(file, false, secret));
  } catch (error) {
    const utf8 = forge.util.encodeUtf8(secret);
    if (!isProtected || utf8 === secret || !(error instanceof Error) || /MAC/.test(error.message)) throw error;
    const again = forge.asn1.fromDer(bytes, false);
    again.value = elements(again).slice(0, 2);
    return contentOf(forge.pkcs12.pkcs12FromAsn1(again, false, utf8));
  }
}

function elements({ value }: forge.asn1.Asn1): forge.asn1.Asn1[] {
  return Array.isArray(value) ? value : [];
}

function contentOf({ safeContents }: forge.pkcs12.Pkcs12Pfx): Pkcs12Answer {
  const { oids } = forge.pki;
  const bags = safeContents.flatMap(({ safeBags }) => safeBags);
  return {
    kind: 'content',
    certificates: bags.filter(({ type }) => type === oids['certBag']).map(certificateOf),
    keys: bags.filter(({ type }) => type === oids['keyBag'] || type === oids['pkcs8ShroudedKeyBag']).map(keyOf),
  };
}

/** The library knows RSA. Of everything else it hands out the structure, which OpenSSL can read. */
function certificateOf({ cert, asn1 }: forge.pkcs12.Bag): Uint8Array {
  return bytesOf(cert ? forge.pki.certificateToAsn1(cert) : asn1);
}

function keyOf({ key, asn1 }: forge.pkcs12.Bag): Uint8Array {
  return bytesOf(key ? forge.pki.wrapRsaPrivateKey(forge.pki.privateKeyToAsn1(key)) : asn1);
}

function bytesOf(asn1: forge.asn1.Asn1): Uint8Array {
  return Buffer.from(forge.asn1.toDer(asn1).getBytes(), 'binary');
}

/**
 * The certificate authority of the demonstration. Between the demo's homeservers TLS is verified as everywhere; they
 * trust this authority, and nobody else does: its key stays in the demo's data.
 */
import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto, X509Certificate as Parsed } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { writeWhole } from './quickstart/drafts.mjs';
import { lock } from './quickstart/lock.mjs';

export interface DemoServer {
  /** Host name that others connect to, such as `luebeck.localhost`. */
  readonly host: string;
  /** IP address that it has. */
  readonly address: string;
}

export interface DemoCertificate {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface DemoCertificates {
  /** PEM file of the authority. */
  readonly caFile: string;
  /** In the order of the servers that were asked for. */
  readonly certificates: readonly DemoCertificate[];
}

interface Pair {
  readonly cert: string;
  readonly key: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const AUTHORITY_LIFE_MS = 10 * 365 * DAY_MS;
const SERVER_LIFE_MS = 90 * DAY_MS;
/** A certificate with less than this left is made anew; of the authority as well. */
const RENEW_BEFORE_MS = 30 * DAY_MS;
/** Clocks may differ a little. */
const BACKDATE_MS = DAY_MS;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const ORGANISATION = 'Hansetag demonstration';

/**
 * Certificates for the demo's servers. What is in the folder and still good is kept; the rest is made.
 *
 * @param folder made if absent; keys in it have mode 0600
 * @param now the clock, Unix ms
 */
export async function demoCertificates(
  folder: string,
  servers: readonly DemoServer[],
  now = Date.now(),
): Promise<DemoCertificates> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Two at the same time would each write half of a pair.
  const unlock = await lock(`${folder}.lock`, () => undefined);
  try {
    return await keepCertificates(folder, servers, now);
  } finally {
    await unlock();
  }
}

async function keepCertificates(
  folder: string,
  servers: readonly DemoServer[],
  now: number,
): Promise<DemoCertificates> {
  const caFile = join(folder, 'authority.pem');
  const caKeyFile = join(folder, 'authority-key.pem');
  let authority = await readPair(caFile, caKeyFile);
  if (authority === undefined || !isFresh(new Parsed(authority.cert), now)) {
    authority = await makeAuthority(now);
    await writePair(authority, caFile, caKeyFile);
  }
  const certificates: DemoCertificate[] = [];
  for (const server of servers) {
    const certFile = join(folder, `${server.host}.pem`);
    const keyFile = join(folder, `${server.host}-key.pem`);
    const pair = await readPair(certFile, keyFile);
    if (pair === undefined || !isGood(new Parsed(pair.cert), new Parsed(authority.cert), server, now)) {
      await writePair(await makeServer(authority, server, now), certFile, keyFile);
    }
    certificates.push({ certFile, keyFile });
  }
  return { caFile, certificates };
}

function isFresh(cert: Parsed, now: number): boolean {
  return Date.parse(cert.validFrom) <= now && Date.parse(cert.validTo) - now > RENEW_BEFORE_MS;
}

function isGood(cert: Parsed, authority: Parsed, { host, address }: DemoServer, now: number): boolean {
  return (
    isFresh(cert, now) &&
    cert.verify(authority.publicKey) &&
    cert.checkHost(host) !== undefined &&
    cert.checkIP(address) !== undefined
  );
}

async function makeAuthority(now: number): Promise<Pair> {
  const keys = await newKeys();
  const cert = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    // The serial number in the name tells a new authority from the one before.
    name: `O=${ORGANISATION}, CN=Authority ${newSerialNumber().slice(0, 8)}`,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + AUTHORITY_LIFE_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: cert.toString('pem'), key: privatePem(keys) };
}

async function makeServer(authority: Pair, { host, address }: DemoServer, now: number): Promise<Pair> {
  const keys = await newKeys();
  const issuer = new Parsed(authority.cert);
  const pkcs8 = createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' });
  const spki = issuer.publicKey.export({ type: 'spki', format: 'der' });
  const cert = await X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: `O=${ORGANISATION}, CN=${host}`,
    // Node gives one attribute in each line.
    issuer: issuer.subject.split('\n').join(', '),
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(now + SERVER_LIFE_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: host },
        { type: 'ip', value: address },
      ]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(
        await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
      ),
    ],
  });
  return { cert: cert.toString('pem'), key: privatePem(keys) };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** 16 random octets, the first below 0x80 and above 0, in hexadecimal (RFC 5280, 4.1.2.2). */
function newSerialNumber(): string {
  const octets = webcrypto.getRandomValues(new Uint8Array(16));
  octets[0] = ((octets[0] ?? 0) & 0x7f) | 0x40;
  return Buffer.from(octets).toString('hex');
}

function privatePem(keys: webcrypto.CryptoKeyPair): string {
  return KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Certificate and key, if both are there and belong together. */
async function readPair(certFile: string, keyFile: string): Promise<Pair | undefined> {
  try {
    const [cert, key] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')]);
    return new Parsed(cert).checkPrivateKey(createPrivateKey(key)) ? { cert, key } : undefined;
  } catch {
    return undefined;
  }
}

async function writePair({ cert, key }: Pair, certFile: string, keyFile: string): Promise<void> {
  await writeWhole(keyFile, key);
  await writeWhole(certFile, `${cert.trim()}\n`);
}

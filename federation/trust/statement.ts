import { createHash } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';
import { CompactSign, compactVerify } from 'jose';
import { z } from 'zod';
import { decodeBase64, encodeBase64 } from '../base64.ts';
import { JsonParseError, parseStrict } from '../json.ts';
import { MAX_CERTIFICATE_BYTES, MAX_CHAIN } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { SKEW_MS } from './crl.ts';
import { checkServerName } from './names.ts';
import { findPath } from './path.ts';
import type { Path } from './path.ts';
import { checkOrganisation, signatureAlgorithmOf } from './profile.ts';
import type { Revocation } from './revocation.ts';
import { TrustError } from './trust-error.ts';
import type { Reason, RefusedVerdict, SeenStatement, TrustedVerdict, Verdict } from './verdict.ts';

export interface StatementContent {
  /** Exactly as in Matrix identifiers. */
  readonly serverName: string;
  /** Key id to public key in unpadded base64: those that sign now, and those that will soon. */
  readonly keys: ReadonlyMap<string, string>;
  /** Rises for ever: the Unix time in seconds, or one more than the last number if that is higher. */
  readonly number: number;
  /** Unix ms. */
  readonly issuedAt: number;
  /** Unix ms, at most `MAX_STATEMENT_LIFE_MS` after `issuedAt`. */
  readonly expiresAt: number;
}

export interface Signer {
  /** Private key of the organisation's certificate. */
  readonly certificateKey: KeyObject;
  /** The organisation's certificate, then the authorities' up to the anchor, which may be absent. */
  readonly chain: readonly X509Certificate[];
}

export interface ChainOptions {
  readonly serverName: string;
  readonly anchors: readonly X509Certificate[];
  /** Unix ms. */
  readonly now: number;
  readonly revocation: Pick<Revocation, 'check'>;
}

export interface JudgeOptions extends ChainOptions {
  /** The highest statement of the server that was accepted so far. */
  readonly seen?: SeenStatement | undefined;
}

/** What is known of the certificate of an organisation whose chain is good. */
export interface GoodChain {
  readonly certificate: Certificate;
  readonly organisation: string;
  /** When the first certificate of the path expires, Unix ms. */
  readonly notAfter: number;
}

/** Characters of a statement; what serves and what fetches one needs no more. */
export const MAX_STATEMENT_LENGTH = 64 * 1024;
export const MAX_STATEMENT_LIFE_MS = 31 * 24 * 60 * 60_000;
export const STATEMENT_TYPE = 'hansetag-statement+jwt';

const MAX_KEYS = 20;
const KEY_ID = /^ed25519:[a-zA-Z0-9_]{1,100}$/;
const KEY_BYTES = 32;
/** A verdict is given anew after this, so that a statement with other keys and a revocation are noticed. */
const TRUSTED_MS = 60 * 60_000;
const REFUSED_MS = 5 * 60_000;
const MAX_DEPTH = 5;

const headerSchema = z.looseObject({
  typ: z.literal(STATEMENT_TYPE),
  alg: z.enum(['ES256', 'EdDSA', 'Ed25519']),
  x5c: z
    .array(z.base64().max(Math.ceil(MAX_CERTIFICATE_BYTES / 3) * 4))
    .min(1)
    .max(MAX_CHAIN),
  crit: z.undefined().optional(),
});
const seconds = z.int().positive().max(8_640_000_000_000);
const payloadSchema = z.looseObject({
  server_name: z.string().max(255),
  verify_keys: z
    .record(z.string().regex(KEY_ID), z.looseObject({ key: z.string().refine(isPublicKey) }))
    .refine((keys) => Object.keys(keys).length > 0 && Object.keys(keys).length <= MAX_KEYS),
  number: z.int().positive(),
  iat: seconds,
  exp: seconds,
});

/**
 * Makes the statement with which an organisation certifies its server's verify keys: a compact JWS with the chain in
 * its header.
 *
 * @throws TrustError `weak-key` when the certificate's key is neither P-256 nor Ed25519, `malformed` when the content is
 *   not what others accept or the private key is not that of the certificate
 * @see docs/trust.md; RFC 7515, 4.1.6
 */
export async function makeStatement(content: StatementContent & Signer): Promise<string> {
  const { serverName, keys, number, issuedAt, expiresAt, certificateKey, chain } = content;
  const [leaf] = chain;
  if (leaf === undefined) throw new TrustError('malformed', 'There is no certificate.');
  const alg = signatureAlgorithmOf({ key: leaf.publicKey });
  if (alg === undefined) throw new TrustError('weak-key', 'The key of the certificate must be P-256 or Ed25519.');
  if (!leaf.checkPrivateKey(certificateKey)) {
    throw new TrustError('malformed', 'The private key is not that of the certificate.');
  }
  const payload = {
    server_name: serverName,
    verify_keys: Object.fromEntries([...keys].map(([keyId, key]) => [keyId, { key }])),
    number,
    iat: Math.floor(issuedAt / 1000),
    exp: Math.floor(expiresAt / 1000),
  };
  const { data, error } = payloadSchema.safeParse(payload);
  if (error) throw new TrustError('malformed', `${pathOf(error)} of the statement is not as docs/trust.md says.`);
  checkLife(data);
  const x5c = chain.map(({ raw }) => raw.toString('base64'));
  return new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader({ alg, typ: STATEMENT_TYPE, x5c })
    .sign(certificateKey);
}

/**
 * Judges the statement of a server. Work is bounded whatever it contains, and nothing is fetched before everything else
 * is found right. Never rejects for what is in it.
 *
 * @param jws what the server serves, white space around it is ignored
 */
export async function judgeStatement(jws: string, options: JudgeOptions): Promise<Verdict> {
  try {
    return await judge(jws, options);
  } catch (error) {
    if (error instanceof TrustError) return refuse(error.reason, error.message, options.now);
    // Readers of certificates fail in many ways.
    return refuse('malformed', 'The statement or a certificate in it cannot be read.', options.now);
  }
}

/** A verdict against a server. */
export function refuse(reason: Reason, text: string, now: number): RefusedVerdict {
  return { trusted: false, reason, text: text.charAt(0).toUpperCase() + text.slice(1), until: now + REFUSED_MS };
}

async function judge(jws: string, options: JudgeOptions): Promise<TrustedVerdict> {
  const { serverName, now, seen } = options;
  const { text, header, payload } = readStatement(jws);
  const path = await findOrganisation(
    header.x5c.map((der) => Buffer.from(der, 'base64')),
    options,
  );
  const [certificate] = path.path;
  await verifySignature(text, header.alg, certificate);
  if (payload.server_name !== serverName) {
    throw new TrustError(
      'wrong-name',
      `The statement is that of ${JSON.stringify(payload.server_name)}, not of ${serverName}.`,
    );
  }
  checkLife(payload);
  const [issuedAt, expiresAt] = [payload.iat * 1000, payload.exp * 1000];
  if (issuedAt > now + SKEW_MS) {
    throw new TrustError('not-yet-valid', 'The statement is from the future. Check the clocks of both servers.');
  }
  if (expiresAt <= now) {
    throw new TrustError(
      'expired',
      `The statement expired at ${new Date(expiresAt).toISOString()}. It must be renewed.`,
    );
  }
  const digest = createHash('sha256')
    .update(text.split('.')[1] ?? '')
    .digest('base64url');
  checkReplay({ number: payload.number, digest }, seen);
  const until = Math.min(await requireNotRevoked(path.path, options), expiresAt, path.notAfter, now + TRUSTED_MS);
  return {
    trusted: true,
    organisation: path.organisation,
    keys: new Map(Object.entries(payload.verify_keys).map(([id, { key }]) => [id, encodeBase64(decodeBase64(key))])),
    number: payload.number,
    digest,
    until,
    serial: certificate.x509.serialNumber,
    issuer: certificate.x509.issuer.split('\n').join(', '),
    notAfter: certificate.notAfter,
  };
}

/**
 * Checks a chain as `judgeStatement` does, for whoever is about to use it.
 *
 * @throws TrustError
 */
export async function checkChain(chain: readonly X509Certificate[], options: ChainOptions): Promise<GoodChain> {
  const found = await findOrganisation(
    chain.map(({ raw }) => raw),
    options,
  );
  await requireNotRevoked(found.path, options);
  return { certificate: found.path[0], organisation: found.organisation, notAfter: found.notAfter };
}

async function findOrganisation(
  chain: readonly Uint8Array[],
  { serverName, anchors, now }: ChainOptions,
): Promise<{ readonly path: Path; readonly organisation: string; readonly notAfter: number }> {
  const path = await findPath(chain, anchors, now);
  checkServerName(path[0], serverName);
  const organisation = checkOrganisation(path);
  return { path, organisation, notAfter: Math.min(...path.map(({ notAfter }) => notAfter)) };
}

async function requireNotRevoked(path: Path, { revocation }: ChainOptions): Promise<number> {
  const status = await revocation.check(path);
  if (status.status === 'good') return status.until;
  throw new TrustError(status.status === 'revoked' ? 'revoked' : 'revocation-unknown', status.text);
}

function readStatement(jws: string) {
  const text = jws.trim();
  if (text.length > MAX_STATEMENT_LENGTH) {
    throw new TrustError('malformed', `The statement is longer than ${MAX_STATEMENT_LENGTH} characters.`);
  }
  const parts = text.split('.');
  if (parts.length !== 3 || !parts.every(isBase64Url)) {
    throw new TrustError('malformed', 'The statement is not a compact JWS.');
  }
  const [header, payload] = parts;
  return {
    text,
    header: readJson(header, headerSchema, 'header'),
    payload: readJson(payload, payloadSchema, 'payload'),
  };
}

function pathOf({ issues }: z.ZodError): string {
  return issues[0]?.path.map(String).join('.').slice(0, 100) || 'it';
}

/** Whether a text is base64url as RFC 7515 writes it, so that nobody can write the same statement in another way. */
function isBase64Url(text: string): boolean {
  return text !== '' && Buffer.from(text, 'base64url').toString('base64url') === text;
}

function readJson<T>(part: string | undefined, schema: z.ZodType<T>, name: string): T {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part ?? '', 'base64url'));
    return schema.parse(parseStrict(text, MAX_DEPTH));
  } catch (error) {
    const at = error instanceof z.ZodError ? pathOf(error) : 'it';
    const why = error instanceof JsonParseError ? error.message : `${at} is not as docs/trust.md says`;
    throw new TrustError('malformed', `The ${name} of the statement cannot be read: ${why.replace(/\p{C}/gu, '?')}.`);
  }
}

async function verifySignature(jws: string, alg: string, certificate: Certificate): Promise<void> {
  const own = signatureAlgorithmOf(certificate);
  const isOwn = own === 'ES256' ? alg === 'ES256' : own === 'EdDSA' && alg !== 'ES256';
  try {
    if (isOwn) {
      await compactVerify(jws, certificate.key, { algorithms: [alg] });
      return;
    }
  } catch {
    // Told below.
  }
  throw new TrustError('malformed', `The statement is not signed with the key of ${certificate.title}.`);
}

function checkLife({ iat, exp }: { readonly iat: number; readonly exp: number }): void {
  if (exp <= iat || exp - iat > MAX_STATEMENT_LIFE_MS / 1000) {
    throw new TrustError('malformed', 'The statement must expire after it was issued, and within 31 days.');
  }
}

function checkReplay({ number, digest }: SeenStatement, seen: SeenStatement | undefined): void {
  if (seen === undefined || number > seen.number || (number === seen.number && digest === seen.digest)) return;
  throw new TrustError(
    'replayed',
    `The statement has number ${number}, and another one with number ${seen.number} was seen before. ` +
      'The organisation must make a new one with a higher number.',
  );
}

function isPublicKey(text: string): boolean {
  try {
    return text.length <= 100 && decodeBase64(text).length === KEY_BYTES;
  } catch {
    return false;
  }
}

import { isIPv4 } from 'node:net';
import * as pkijs from 'pkijs';
import { IdentifierError, parseServerName } from '../identifiers.ts';
import { alternativeNamesOf, nameConstraintsOf } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { TrustError } from './trust-error.ts';
import { dig } from './untyped.ts';

/** Kinds of a GeneralName. @see RFC 5280, 4.2.1.6 */
const KIND = { mail: 1, dns: 2, directory: 4, uri: 6, ip: 7 } as const;
const MAIL_ADDRESS = '1.2.840.113549.1.9.1';
const DNS_NAME = /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i;
/** Names times constraints that are compared; more are refused. */
const MAX_COMPARISONS = 10_000;

interface Name {
  readonly kind: number;
  /** A DNS name, the octets of an address, or the attributes of a distinguished name. */
  readonly value: string | Uint8Array | readonly pkijs.AttributeTypeAndValue[] | undefined;
}

/**
 * Checks that a certificate names a server: its host as a dNSName, or as an iPAddress if the server name is an address.
 * A port is not part of X.509 names: who holds a host's certificate speaks for all servers of that host. Wildcards and
 * the common name do not count.
 *
 * @throws TrustError `wrong-name`, `malformed`
 */
export function checkServerName(certificate: Certificate, serverName: string): void {
  const { host, isIp } = hostOf(serverName);
  const names = alternativeNamesOf(certificate).map(readName);
  for (const { kind, value } of names) {
    if (kind === KIND.dns && !(typeof value === 'string' && DNS_NAME.test(value))) {
      throw new TrustError('malformed', `${certificate.title} has a DNS name that is none.`);
    }
  }
  const isNamed = isIp
    ? names.some(({ kind, value }) => kind === KIND.ip && isOctets(value) && isSame(value, octetsOf(host)))
    : names.some(({ kind, value }) => kind === KIND.dns && lower(value) === lower(host));
  if (isNamed) return;
  const given = names.flatMap(({ kind, value }) => (kind === KIND.dns ? [String(value)] : [])).slice(0, 5);
  throw new TrustError(
    'wrong-name',
    `${certificate.title} is for ${given.join(', ') || 'no server'}, not for ${host}. ` +
      `Its subject alternative name must be ${isIp ? 'the address' : 'the DNS name'} ${host}.`,
  );
}

function hostOf(serverName: string): { readonly host: string; readonly isIp: boolean } {
  try {
    return parseServerName(serverName);
  } catch (error) {
    if (error instanceof IdentifierError) throw new TrustError('wrong-name', `${error.message}`);
    throw error;
  }
}

/**
 * Checks the names of the certificates below an authority against its name constraints. pkijs takes the union of all
 * permitted subtrees of a path, RFC 5280 their intersection, so each authority is asked by itself here.
 *
 * @param below the certificates that it issued, directly or not; those of authorities that are self-issued are exempt
 * @throws TrustError `wrong-name`, `malformed`
 * @see RFC 5280, 4.2.1.10 and 6.1.3 (b), (c)
 */
export function checkNameConstraints(authority: Certificate, below: readonly Certificate[], leaf: Certificate): void {
  const constraints = nameConstraintsOf(authority);
  if (constraints === undefined) return;
  const permitted = (constraints.permittedSubtrees ?? []).map((tree) => readSubtree(tree, authority));
  const excluded = (constraints.excludedSubtrees ?? []).map((tree) => readSubtree(tree, authority));
  for (const certificate of below) {
    if (certificate.isSelfIssued && certificate !== leaf) continue;
    const names = namesOf(certificate);
    if (names.length * (permitted.length + excluded.length) > MAX_COMPARISONS) {
      throw new TrustError('malformed', `${authority.title} has too many name constraints.`);
    }
    for (const name of names) {
      // What cannot be compared is never permitted, and always excluded.
      const rivals = permitted.filter(({ kind }) => kind === name.kind);
      const isOut = rivals.length > 0 && !rivals.some((tree) => isWithin(name, tree, false));
      if (!isOut && !excluded.some((tree) => tree.kind === name.kind && isWithin(name, tree, true))) continue;
      throw new TrustError(
        'wrong-name',
        `${authority.title} may not issue names such as that of ${certificate.title}.`,
      );
    }
  }
}

function readSubtree(tree: pkijs.GeneralSubtree, authority: Certificate): Name {
  if (tree.minimum !== 0 || tree.maximum !== undefined) {
    throw new TrustError('malformed', `${authority.title} has a name constraint with a minimum or maximum.`);
  }
  return readName(tree.base);
}

/** All names that constraints can be about. @see RFC 5280, 4.2.1.10 */
function namesOf(certificate: Certificate): Name[] {
  const { typesAndValues: subject } = certificate.parsed.subject;
  return [
    ...(subject.length > 0 ? [{ kind: KIND.directory, value: subject }] : []),
    ...(subject.some(({ type }) => (type as unknown) === MAIL_ADDRESS) ? [{ kind: KIND.mail, value: undefined }] : []),
    ...alternativeNamesOf(certificate).map(readName),
  ];
}

function readName({ type, value }: pkijs.GeneralName): Name {
  const read: unknown = value;
  if (type === KIND.dns) return { kind: type, value: typeof read === 'string' ? read : undefined };
  if (type === KIND.directory && read instanceof pkijs.RelativeDistinguishedNames) {
    return { kind: type, value: read.typesAndValues };
  }
  if (type === KIND.ip) {
    const octets: unknown = dig(read, 'valueBlock', 'valueHexView');
    return { kind: type, value: octets instanceof Uint8Array ? octets : undefined };
  }
  return { kind: type, value: undefined };
}

/**
 * Whether a name is in a subtree of its kind.
 *
 * @param otherwise the answer for kinds that we do not compare and for values that cannot be read
 */
function isWithin(name: Name, tree: Name, otherwise: boolean): boolean {
  const [value, base] = [name.value, tree.value];
  if (typeof value === 'string' && typeof base === 'string') return isWithinDomain(lower(value), lower(base));
  if (isOctets(value) && isOctets(base)) return isWithinRange(value, base);
  if (Array.isArray(value) && Array.isArray(base)) {
    return isWithinDirectory(value as pkijs.AttributeTypeAndValue[], base as pkijs.AttributeTypeAndValue[]);
  }
  return otherwise;
}

/** `example.org` holds itself and what is below, `.example.org` only what is below; the empty name holds everything. */
function isWithinDomain(name: string, base: string): boolean {
  if (base === '' || name === base) return true;
  return name.endsWith(base.startsWith('.') ? base : `.${base}`);
}

/** @param base an address followed by its mask */
function isWithinRange(address: Uint8Array, base: Uint8Array): boolean {
  const { length } = address;
  if (base.length !== length * 2) return false;
  return address.every((octet, index) => {
    const mask = base[length + index] ?? 0;
    return (octet & mask) === ((base[index] ?? 0) & mask);
  });
}

function isWithinDirectory(
  name: readonly pkijs.AttributeTypeAndValue[],
  base: readonly pkijs.AttributeTypeAndValue[],
): boolean {
  return base.every((attribute, index) => {
    const own = name[index];
    return own !== undefined && textOf(own) === textOf(attribute);
  });
}

/** An attribute for comparing: letters of ASCII in lower case and single spaces, however its string is encoded. */
function textOf({ type, value }: pkijs.AttributeTypeAndValue): string {
  const text: unknown = dig(value, 'valueBlock', 'value');
  const plain =
    typeof text === 'string'
      ? lower(text.trim().replace(/\s+/g, ' '))
      : Buffer.from(value.toBER() as ArrayBuffer).toString('hex');
  return `${String(type)}=${plain}`;
}

function lower(text: unknown): string {
  return String(text).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function isOctets(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** The octets of an address. */
function octetsOf(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number);
  // The URL standard writes IPv4 at the end as hexadecimal groups.
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const groups = (text: string | undefined): string[] => (text ? text.split(':') : []);
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Uint8Array.from(
    [...left, ...zeros, ...right].flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    }),
  );
}

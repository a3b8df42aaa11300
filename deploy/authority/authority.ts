/**
 * A small certificate authority for specs and demonstrations: root, intermediates, organisation certificates with any
 * fault, CRLs and OCSP responses. It keeps no records but what it has revoked; nobody should trust it in earnest.
 */
import 'reflect-metadata';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import type { KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { makeKeys, privatePem } from './keys.ts';
import type { KeyKind, Keys } from './keys.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks may differ a little. */
const BACKDATE_MS = 60 * 60 * 1000;
const ROOT_LIFE_MS = 10 * 365 * DAY_MS;
const INTERMEDIATE_LIFE_MS = 5 * 365 * DAY_MS;
const ORGANISATION_LIFE_MS = 365 * DAY_MS;
const CRL_LIFE_MS = 7 * DAY_MS;
/** Of RSASSA-PSS. */
const SALT_BYTES = 32;

/** Which places a certificate names to ask whether it is revoked. */
export type Sources = 'crl' | 'ocsp' | 'both' | 'none';

/** What a certificate holds; whatever is left out is as the profile demands. */
export interface CertificateOptions {
  /** Distinguished name, such as `O=Hansestadt Lübeck, CN=luebeck.example`. */
  readonly subject?: string;
  readonly names?: x509.JsonGeneralNames;
  readonly keyKind?: KeyKind;
  readonly keys?: Keys;
  /** In hexadecimal. */
  readonly serialNumber?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Bits of `x509.KeyUsageFlags`; null for no key usage. */
  readonly keyUsage?: number | null;
  /** Object identifiers. */
  readonly purposes?: readonly string[];
  readonly isAuthority?: boolean;
  /** How many authorities may come below it. */
  readonly pathLength?: number;
  readonly sources?: Sources;
  readonly extensions?: readonly x509.Extension[];
  /** Of the signature, where the issuer's key leaves a choice (P-256, P-384). */
  readonly hash?: 'SHA-1' | 'SHA-256' | 'SHA-384';
}

export interface OrganisationOptions extends CertificateOptions {
  /** Host of the server name; without it, `names` are those of the certificate. */
  readonly host?: string;
  readonly organisation?: string;
}

/** A certificate and its key. */
export interface Issued {
  readonly certificate: X509Certificate;
  readonly keys: Keys;
  readonly privateKey: KeyObject;
  /** PKCS#8. */
  readonly keyPem: string;
  /** The certificate and those of the authorities up to the root, which is not part of it. */
  readonly chain: readonly X509Certificate[];
  readonly chainPem: string;
}

export interface AuthorityOptions {
  /** Where the responder serves it, such as `http://127.0.0.1:1234`. */
  readonly url: string;
  readonly name: string;
  readonly now: () => number;
}

export interface CrlOptions {
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date | undefined;
  readonly extensions?: readonly x509.Extension[];
  /** Who signs it; this authority if left out. */
  readonly keys?: Keys;
  /** Further serial numbers in hexadecimal. */
  readonly serials?: Iterable<string>;
}

/** One authority: a root, or an intermediate below one. */
export class Authority {
  /** Part of its URLs: the same after a restart. */
  readonly id: string;
  readonly issued: Issued;
  /** Serial numbers in hexadecimal and when they were revoked, by the kind of source that says so. */
  readonly revoked = { crl: new Map<string, Date>(), ocsp: new Map<string, Date>() };
  readonly #options: AuthorityOptions;

  /** @param issued its own certificate */
  constructor(options: AuthorityOptions, issued: Issued) {
    this.#options = options;
    this.issued = issued;
    const spki = issued.certificate.publicKey.export({ type: 'spki', format: 'der' });
    this.id = createHash('sha256').update(spki).digest('hex').slice(0, 16);
  }

  static async root(options: AuthorityOptions, certificate: CertificateOptions = {}): Promise<Authority> {
    const { now, name } = options;
    const keys = certificate.keys ?? (await makeKeys(certificate.keyKind ?? 'P-256'));
    const made = await sign(
      { subject: name, isAuthority: true, notAfter: new Date(now() + ROOT_LIFE_MS), ...certificate },
      { subject: certificate.subject ?? name, keys },
      keys,
      { now: now(), crl: undefined, ocsp: undefined },
    );
    return new Authority(options, issuedOf(made, keys, []));
  }

  get certificate(): X509Certificate {
    return this.issued.certificate;
  }

  get pem(): string {
    return this.issued.certificate.toString();
  }

  get crlUrl(): string {
    return `${this.#options.url}/crl/${this.id}`;
  }

  get ocspUrl(): string {
    return `${this.#options.url}/ocsp/${this.id}`;
  }

  get now(): number {
    return this.#options.now();
  }

  /** Makes an authority below this one. */
  async intermediate(name: string, certificate: CertificateOptions = {}): Promise<Authority> {
    const issued = await this.issue({
      subject: name,
      isAuthority: true,
      notAfter: new Date(this.now + INTERMEDIATE_LIFE_MS),
      ...certificate,
    });
    return new Authority({ ...this.#options, name }, issued);
  }

  /** Issues an organisation's certificate by the profile in docs/trust.md, but for what the options say. */
  organisation({ host, organisation = 'Hansestadt Lübeck', ...rest }: OrganisationOptions): Promise<Issued> {
    return this.issue({
      subject: `C=DE, O=${organisation}, CN=${host ?? 'Hansetag'}`,
      names: host === undefined ? [] : [{ type: 'dns', value: host }],
      notAfter: new Date(this.now + ORGANISATION_LIFE_MS),
      ...rest,
    });
  }

  async issue(options: CertificateOptions): Promise<Issued> {
    const keys = options.keys ?? (await makeKeys(options.keyKind ?? 'P-256'));
    const { sources = 'both' } = options;
    const certificate = await sign(options, { subject: this.#name(), keys: this.issued.keys }, keys, {
      now: this.now,
      crl: sources === 'crl' || sources === 'both' ? this.crlUrl : undefined,
      ocsp: sources === 'ocsp' || sources === 'both' ? this.ocspUrl : undefined,
    });
    return issuedOf(certificate, keys, this.above);
  }

  /** Revokes a certificate; `kind` for a source that lags behind the other. */
  revoke({ serialNumber }: X509Certificate, kind: 'crl' | 'ocsp' | 'both' = 'both'): void {
    for (const source of ['crl', 'ocsp'] as const) {
      if (kind === source || kind === 'both') this.revoked[source].set(serialNumber.toLowerCase(), new Date(this.now));
    }
  }

  /** A CRL, in DER. */
  async crl(options: CrlOptions = {}): Promise<Uint8Array> {
    const keys = options.keys ?? this.issued.keys;
    const serials = [...this.revoked.crl.keys(), ...(options.serials ?? [])];
    const nextUpdate = 'nextUpdate' in options ? options.nextUpdate : new Date(this.now + CRL_LIFE_MS);
    const crl = await x509.X509CrlGenerator.create({
      issuer: this.#name(),
      thisUpdate: options.thisUpdate ?? new Date(this.now - 60_000),
      ...(nextUpdate === undefined ? {} : { nextUpdate }),
      signingAlgorithm: {
        ...keys.pair.privateKey.algorithm,
        hash: 'SHA-256',
        saltLength: SALT_BYTES,
      } as webcrypto.EcdsaParams,
      signingKey: keys.pair.privateKey,
      entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date(this.now) })),
      extensions: [...(options.extensions ?? [])],
    });
    return new Uint8Array(crl.rawData);
  }

  #name(): x509.Name {
    return new x509.X509Certificate(this.issued.certificate.raw).subjectName;
  }

  /** Its certificate and those of the authorities above it, without the root. */
  get above(): readonly X509Certificate[] {
    return this.issued.chain.filter(({ subject, issuer }) => subject !== issuer);
  }
}

interface Context {
  readonly now: number;
  readonly crl: string | undefined;
  readonly ocsp: string | undefined;
}

async function sign(
  options: CertificateOptions,
  issuer: { readonly subject: string | x509.Name; readonly keys: Keys },
  keys: Keys,
  { now, crl, ocsp }: Context,
): Promise<X509Certificate> {
  const { isAuthority = false, pathLength, purposes, names = [], hash = 'SHA-256' } = options;
  const forAuthority = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const { keyUsage = isAuthority ? forAuthority : x509.KeyUsageFlags.digitalSignature } = options;
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: options.serialNumber ?? newSerialNumber(),
    subject: options.subject ?? '',
    issuer: issuer.subject,
    notBefore: options.notBefore ?? new Date(now - BACKDATE_MS),
    notAfter: options.notAfter ?? new Date(now + ORGANISATION_LIFE_MS),
    signingAlgorithm: {
      ...issuer.keys.pair.privateKey.algorithm,
      hash,
      saltLength: SALT_BYTES,
    } as webcrypto.EcdsaParams,
    publicKey: keys.pair.publicKey,
    signingKey: issuer.keys.pair.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(isAuthority, pathLength, true),
      ...(keyUsage === null ? [] : [new x509.KeyUsagesExtension(keyUsage, true)]),
      ...(purposes === undefined ? [] : [new x509.ExtendedKeyUsageExtension([...purposes])]),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      ...(crl === undefined ? [] : [new x509.CRLDistributionPointsExtension([crl])]),
      ...(ocsp === undefined ? [] : [new x509.AuthorityInfoAccessExtension({ ocsp })]),
      await x509.SubjectKeyIdentifierExtension.create(keys.pair.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.keys.pair.publicKey),
      ...(options.extensions ?? []),
    ],
  });
  return new X509Certificate(Buffer.from(made.rawData));
}

function issuedOf(certificate: X509Certificate, keys: Keys, above: readonly X509Certificate[]): Issued {
  const chain = [certificate, ...above];
  return {
    certificate,
    keys,
    privateKey: keys.privateKey,
    keyPem: privatePem(keys),
    chain,
    chainPem: chain.map((one) => one.toString()).join(''),
  };
}

/** 16 random octets, the first below 0x80 and above 0, in hexadecimal (RFC 5280, 4.1.2.2). */
function newSerialNumber(): string {
  const octets = randomBytes(16);
  octets[0] = ((octets[0] ?? 0) & 0x7f) | 0x40;
  return octets.toString('hex');
}

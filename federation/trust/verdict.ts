/** Why an organisation is not trusted. */
export const REASONS = [
  /** In `allowlist` mode: it is not on the list. */
  'not-listed',
  /** It serves no statement. */
  'no-statement',
  /** Its statement could not be fetched. */
  'unreachable',
  /** The statement, a certificate or a key in it is not what it should be, or it is larger than allowed. */
  'malformed',
  /** No path leads to an authority that we trust. */
  'unknown-authority',
  /** The certificate or the statement is another server's, or a name constraint excludes it. */
  'wrong-name',
  'not-yet-valid',
  'expired',
  /** A key or a signature algorithm in the path is too weak. */
  'weak-key',
  /** A certificate is not for what it is used for: key usage, basic constraints, path length, critical extensions. */
  'wrong-use',
  /** The organisation's certificate breaks another rule of the profile (docs/trust.md). */
  'outside-profile',
  'revoked',
  /** Neither a CRL nor an OCSP responder gave an answer that is fresh enough. */
  'revocation-unknown',
  /** The key that signs its requests is not in the statement. */
  'key-not-listed',
  /** An older statement than one that was seen before, or another one with the same number. */
  'replayed',
] as const;

export type Reason = (typeof REASONS)[number];

/** What a valid statement says. */
export interface TrustedVerdict {
  readonly trusted: true;
  /** Name of the organisation, from the certificate's subject. */
  readonly organisation: string;
  /** Verify keys: key id to public key in unpadded base64. */
  readonly keys: ReadonlyMap<string, string>;
  /** Number of the statement. A later one must have a higher number, or the same number and digest. */
  readonly number: number;
  /** SHA-256 of the statement's payload, URL-safe base64. */
  readonly digest: string;
  /** When to judge again, Unix ms. */
  readonly until: number;
  /** Serial number of the organisation's certificate, in hexadecimal. */
  readonly serial: string;
  /** Distinguished name of its issuer. */
  readonly issuer: string;
  /** When the certificate expires, Unix ms. */
  readonly notAfter: number;
}

export interface RefusedVerdict {
  readonly trusted: false;
  readonly reason: Reason;
  /** What failed and what to do, for the administrator. */
  readonly text: string;
  /** When to judge again, Unix ms. */
  readonly until: number;
}

export type Verdict = TrustedVerdict | RefusedVerdict;

/** The highest statement of a server that was accepted so far. */
export interface SeenStatement {
  readonly number: number;
  readonly digest: string;
}

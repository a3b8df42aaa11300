/** With which other servers we federate, and why not with the others. */
import { FederationError } from '../../../federation/client.ts';
import type { Reason } from '../../../federation/trust/verdict.ts';
import { MatrixError } from '../../base/errors.ts';

export type TrustMode = 'open' | 'allowlist' | 'pki';

/** We federate with the server. */
export interface Accepted {
  readonly trusted: true;
  /** Since when, Unix ms. */
  readonly since: number;
  /** Name of the organisation in its certificate, in `pki` mode. */
  readonly organisation?: string;
}

/** We do not. */
export interface Refusal {
  readonly trusted: false;
  readonly reason: Reason;
  /** What failed and what to do, for our administrator. */
  readonly text: string;
  /** Since when, Unix ms. */
  readonly since: number;
}

export type Decision = Accepted | Refusal;

/** A key that has signed a request; the signature was verified. */
export interface UsedKey {
  readonly keyId: string;
  /** Unpadded base64. */
  readonly publicKey: string;
}

/** What health says: how many are refused, never who. */
export interface TrustSummary {
  readonly mode: Exclude<TrustMode, 'open'>;
  readonly refused: number;
  readonly reasons: Partial<Record<Reason, number>>;
}

export type TrustListener = (server: string, decision: Decision) => void;

export interface Trust {
  /** What is decided of a server now. Undefined when it has to be judged first. */
  decision(server: string): Decision | undefined;
  /** The same; judges the server where nothing is decided. Never rejects; a promise only where it has to wait. */
  settle(server: string): Decision | Promise<Decision>;
  /** Whether a server counts as trusted; judges it in the background where nothing is decided, see `onChanged`. */
  isTrusted(server: string): boolean;
  /** Why a server does not count as trusted, as far as that is known. */
  refusal(server: string): Refusal | undefined;
  /** Whether a server may use these keys, of which each has signed a request. Never rejects. */
  judgeKeys(server: string, keys: readonly UsedKey[]): Decision | Promise<Decision>;
  /**
   * For requests to a server.
   *
   * @param isExempt for discovery, keys and statements, which servers that are not trusted in `pki` mode are asked for, too
   * @returns undefined where the server is known to be trusted; else a promise that rejects with `UntrustedError`
   */
  requireTrusted(server: string, isExempt?: boolean): Promise<void> | undefined;
  /** Calls when a server becomes trusted, or is not any more, or for another reason. @returns a function that ends it */
  onChanged(listener: TrustListener): () => void;
  /** Undefined in `open` mode. */
  summary(): TrustSummary | undefined;
  /** Judges again what has to be. Other servers can be asked by then. */
  start(): void;
  close(): void;
}

/** A request to a server that we do not federate with. */
export class UntrustedError extends FederationError {
  readonly refusal: Refusal;

  constructor(server: string, refusal: Refusal) {
    super('NOT_ALLOWED', server, `This server does not federate with ${server}: ${refusal.text}`);
    this.refusal = refusal;
  }
}

/** What people here are told who want something of a server that we do not federate with. */
export function refusedByUs({ message, destination, refusal }: UntrustedError): MatrixError {
  return new MatrixError(403, 'M_FORBIDDEN', message, { organisation: destination, untrusted: refusal.reason });
}

/**
 * What the other server is told. Not the text for our administrator: what happened when we tried to reach a server is
 * nobody's business who may only have used its name.
 */
const FOR_PEERS: Readonly<Record<Reason, string>> = {
  'not-listed': 'your server is not on its list',
  'no-statement': 'your server serves no statement at /_hansetag/key/v1/statement',
  unreachable: 'the statement of your server could not be fetched',
  malformed: 'the statement of your server or a certificate in it is malformed',
  'unknown-authority': 'the certificate of your organisation is not of an authority that it trusts',
  'wrong-name': 'the certificate or the statement of your organisation is for another server name',
  'not-yet-valid': 'the certificate or the statement of your organisation is not valid yet',
  expired: 'the certificate or the statement of your organisation has expired',
  'weak-key': 'the certificate of your organisation or of its authority has a weak key or signature',
  'wrong-use': 'a certificate of your organisation is used for what it was not issued for',
  'outside-profile': 'the certificate of your organisation does not have the required form',
  revoked: 'the certificate of your organisation was revoked',
  'revocation-unknown': 'whether the certificate of your organisation was revoked cannot be found out',
  'key-not-listed': 'the key that signed the request is not in the statement of your server',
  replayed: 'your server serves an older statement than before',
};

/** Why a request of another server is refused, for a person there. */
export function textForPeer({ reason }: Refusal): string {
  return `This organisation does not federate with your server: ${FOR_PEERS[reason]}.`;
}

/** `open`: every server is trusted; `allowlist`: those on the list are. */
export class ListTrust implements Trust {
  readonly #accepted: Accepted = { trusted: true, since: Date.now() };
  /** Undefined: all. */
  readonly #listed: ReadonlySet<string> | undefined;
  readonly #serverName: string;

  /** @param listed compared as written: `Example.org` is not `example.org` */
  constructor(serverName: string, listed: ReadonlySet<string> | undefined) {
    this.#serverName = serverName;
    this.#listed = listed;
  }

  decision(server: string): Decision {
    if (!this.#listed || this.#listed.has(server) || server === this.#serverName) return this.#accepted;
    const text = `It is not in HANSETAG_TRUST_SERVERS. To federate with it, add it there and restart the homeserver.`;
    return { trusted: false, reason: 'not-listed', text, since: this.#accepted.since };
  }

  settle(server: string): Decision {
    return this.decision(server);
  }

  isTrusted(server: string): boolean {
    return this.decision(server).trusted;
  }

  refusal(server: string): Refusal | undefined {
    const decision = this.decision(server);
    return decision.trusted ? undefined : decision;
  }

  judgeKeys(server: string): Decision {
    return this.decision(server);
  }

  requireTrusted(server: string): Promise<void> | undefined {
    const decision = this.decision(server);
    return decision.trusted ? undefined : Promise.reject(new UntrustedError(server, decision));
  }

  /** Nothing changes while the homeserver runs. */
  onChanged(): () => void {
    return () => undefined;
  }

  summary(): TrustSummary | undefined {
    return this.#listed && { mode: 'allowlist', refused: 0, reasons: {} };
  }

  start(): void {
    // There is nothing to judge.
  }

  close(): void {
    // Nothing was opened.
  }
}

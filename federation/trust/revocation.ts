import { LRUCache } from 'lru-cache';
import { untilAborted } from '../until-aborted.ts';
import { crlUrlsOf, ocspUrlsOf } from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { AnswerError, isListed, readCrl, sizeOf } from './crl.ts';
import { makeOcspRequest, readOcspResponse } from './ocsp.ts';
import type { Path } from './path.ts';

export interface RevocationOptions {
  /** Fetches a CRL of at most `MAX_CRL_BYTES`. The URL is from a certificate of an authority that is trusted. */
  readonly fetchCrl: (url: string) => Promise<Uint8Array>;
  /** Posts a request (`application/ocsp-request`); the response has at most `MAX_OCSP_BYTES`. */
  readonly askOcsp: (url: string, request: Uint8Array) => Promise<Uint8Array>;
  /** Unix ms. */
  readonly now?: () => number;
  /** After this an answer is fetched again, although it has not expired: authorities publish early what is urgent. */
  readonly refreshMs?: number;
  /** How long a source that failed is left alone. */
  readonly retryMs?: number;
  /** For each source. */
  readonly timeoutMs?: number;
}

export type RevocationStatus =
  /** `until` is Unix ms: when the answers are too old. */
  | { readonly status: 'good'; readonly until: number }
  | { readonly status: 'revoked' | 'unknown'; readonly text: string };

/** What a source says; `isRevoked` is undefined when it does not know the certificate. */
interface Answer {
  readonly thisUpdate: number;
  readonly expires: number;
  readonly isRevoked: (certificate: Certificate) => boolean | undefined;
  readonly bytes: number;
}

interface Kept {
  readonly answer: Answer;
  /** Unix ms. */
  readonly fetchedAt: number;
}

interface Failure {
  readonly at: number;
  readonly text: string;
}

/** An answer is used this long after it has expired, so that a responder may be down for a day. */
export const GRACE_MS = 24 * 60 * 60_000;
/** Shorter than a verdict holds, so that each new one asks again. */
const REFRESH_MS = 30 * 60_000;
const RETRY_MS = 60_000;
const TIMEOUT_MS = 10_000;
const MAX_ANSWERS = 2000;
/** Bytes of memory of cached answers. */
const MAX_CACHED_BYTES = 96 * 1024 * 1024;
const OCSP_COST = 1024;
/** Of each kind and certificate. */
const MAX_URLS = 3;

/**
 * Whether certificates are revoked, by the CRLs and OCSP responders that they name. All that a certificate names are
 * asked: one that says `revoked` decides, one that says `good` is enough. Certificates that name none are not revoked;
 * the profile demands one of organisations. Answers are kept until 24 h after they have expired.
 */
export class Revocation {
  readonly #options: RevocationOptions;
  readonly #now: () => number;
  readonly #answers = new LRUCache<string, Kept>({
    max: MAX_ANSWERS,
    maxSize: MAX_CACHED_BYTES,
    sizeCalculation: ({ answer }) => answer.bytes,
  });
  readonly #failures = new LRUCache<string, Failure>({ max: MAX_ANSWERS });
  readonly #loading = new Map<string, Promise<void>>();

  constructor(options: RevocationOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Checks all certificates of a valid path but the anchor, the authorities first: one that is revoked must not send us
   * anywhere.
   */
  async check(path: Path): Promise<RevocationStatus> {
    let until = Infinity;
    for (let index = path.length - 2; index >= 0; index--) {
      const [certificate, issuer] = [path[index], path[index + 1]];
      if (certificate === undefined || issuer === undefined) continue;
      const status = await this.#checkOne(certificate, issuer);
      if (status.status !== 'good') return status;
      until = Math.min(until, status.until);
    }
    return { status: 'good', until };
  }

  async #checkOne(certificate: Certificate, issuer: Certificate): Promise<RevocationStatus> {
    const ocsp = ocspUrlsOf(certificate).slice(0, MAX_URLS);
    const crls = crlUrlsOf(certificate).slice(0, MAX_URLS);
    if (ocsp.length + crls.length === 0) return { status: 'good', until: Infinity };
    const keys = await Promise.all([
      ...ocsp.map((url) => this.#askOcsp(url, certificate, issuer)),
      ...crls.map((url) => this.#fetchCrl(url, issuer)),
    ]);
    const answers = keys.flatMap((key) => this.#usable(key) ?? []);
    const said = answers.map((answer) => ({ answer, isRevoked: answer.isRevoked(certificate) }));
    if (said.some(({ isRevoked }) => isRevoked === true)) {
      return {
        status: 'revoked',
        text: `${capital(certificate.title)} is revoked by its authority. The organisation needs a new one.`,
      };
    }
    const good = said.filter(({ isRevoked }) => isRevoked === false);
    if (good.length > 0) {
      return { status: 'good', until: Math.max(...good.map(({ answer }) => answer.expires)) + GRACE_MS };
    }
    const why = keys.flatMap((key) => this.#failures.get(key)?.text ?? []);
    return {
      status: 'unknown',
      text:
        `Whether ${certificate.title} is revoked cannot be found out: ` +
        `${why.join('; ') || 'its authority does not know it'}. ` +
        'Make sure that this server can reach these addresses, or tell the authority.',
    };
  }

  /** Makes sure that the answer of a responder is kept, if there is one. @returns its key */
  async #askOcsp(url: string, certificate: Certificate, issuer: Certificate): Promise<string> {
    const key = `ocsp ${url} ${certificate.x509.fingerprint256}`;
    await this.#refresh(key, url, async () => {
      const request = makeOcspRequest(certificate, issuer);
      const der = await this.#inTime(this.#options.askOcsp(url, request.der));
      const { status, thisUpdate, nextUpdate, delegate } = readOcspResponse(
        der,
        certificate,
        issuer,
        request.nonce,
        this.#now(),
      );
      if (delegate !== undefined) await this.#requireDelegate(delegate, issuer);
      const isRevoked = { good: false, revoked: true, unknown: undefined }[status];
      return { thisUpdate, expires: nextUpdate, isRevoked: () => isRevoked, bytes: OCSP_COST };
    });
    return key;
  }

  /** A responder's certificate is checked by CRLs alone, so that responders do not vouch for each other. */
  async #requireDelegate(delegate: Certificate, issuer: Certificate): Promise<void> {
    const urls = crlUrlsOf(delegate).slice(0, MAX_URLS);
    if (urls.length === 0) return;
    const keys = await Promise.all(urls.map((url) => this.#fetchCrl(url, issuer)));
    const said = keys.map((key) => this.#usable(key)?.isRevoked(delegate));
    if (said.includes(true) || !said.includes(false)) {
      throw new AnswerError('the certificate of its responder is revoked, or that cannot be found out');
    }
  }

  async #fetchCrl(url: string, issuer: Certificate): Promise<string> {
    const key = `crl ${url} ${issuer.x509.fingerprint256}`;
    await this.#refresh(key, url, async () => {
      const der = await this.#inTime(this.#options.fetchCrl(url));
      const crl = await readCrl(der, issuer, url, this.#now());
      const { thisUpdate, nextUpdate } = crl;
      const isRevoked = (certificate: Certificate): boolean | undefined => isListed(crl, certificate);
      return { thisUpdate, expires: nextUpdate, isRevoked, bytes: sizeOf(crl) };
    });
    return key;
  }

  #inTime<T>(promise: Promise<T>): Promise<T> {
    return untilAborted(promise, AbortSignal.timeout(this.#options.timeoutMs ?? TIMEOUT_MS));
  }

  #usable(key: string): Answer | undefined {
    const answer = this.#answers.get(key)?.answer;
    return answer !== undefined && this.#now() < answer.expires + GRACE_MS ? answer : undefined;
  }

  /** Loads an answer, unless there is a fresh one, or the source failed a moment ago. One at a time for each key. */
  async #refresh(key: string, url: string, load: () => Promise<Answer>): Promise<void> {
    const { refreshMs = REFRESH_MS, retryMs = RETRY_MS } = this.#options;
    const kept = this.#answers.get(key);
    const now = this.#now();
    if (kept !== undefined && now < kept.answer.expires && now < kept.fetchedAt + refreshMs) return;
    const failure = this.#failures.get(key);
    if (failure !== undefined && now < failure.at + retryMs) return;
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = this.#load(key, url, load).finally(() => this.#loading.delete(key));
      this.#loading.set(key, loading);
    }
    await loading;
  }

  async #load(key: string, url: string, load: () => Promise<Answer>): Promise<void> {
    const now = this.#now();
    try {
      const answer = await load();
      const before = this.#answers.get(key)?.answer;
      if (before !== undefined && before.thisUpdate > answer.thisUpdate) {
        throw new AnswerError('it is older than the one before');
      }
      if (now >= answer.expires + GRACE_MS) throw new AnswerError('it has expired more than a day ago');
      this.#failures.delete(key);
      this.#answers.set(key, { answer, fetchedAt: now });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#failures.set(key, { at: now, text: `${url}: ${why}`.replace(/\p{C}/gu, '?').slice(0, 300) });
    }
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

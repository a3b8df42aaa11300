/**
 * The statement of this organisation: which keys its server signs with, signed by the organisation's certificate.
 *
 * @see docs/trust.md
 */
import express from 'express';
import type { Router } from 'express';
import type { Logger } from 'pino';
import type { OwnKeys } from '../../../federation/own-keys.ts';
import { makeStatement } from '../../../federation/trust/statement.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { FollowedFiles } from '../../base/followed-files.ts';
import { Serial } from '../../base/serial.ts';
import type { SigningKeyFile } from '../../base/signing-key-file.ts';
import { OrganisationCertificateError, readOrganisationCertificate } from './organisation-certificate.ts';
import type { OrganisationCertificate } from './organisation-certificate.ts';

/** The files of an organisation's certificate, PEM. */
export interface OrganisationFiles {
  /** The certificate, then those of the authorities above it. */
  readonly certFile: string;
  /** Its key; further keys may be there. */
  readonly keyFile: string;
}

export interface OwnStatementOptions extends OrganisationFiles {
  readonly serverName: string;
  readonly keys: OwnKeys;
  readonly log: Logger;
  /** Unix ms. */
  readonly now?: () => number;
}

/** How the organisation's certificate is, for those who watch the server. */
export interface CertificateHealth {
  /** `ends-soon`: it has to be renewed now. `unusable`: what its files have now is no certificate for this server. */
  readonly state: 'valid' | 'ends-soon' | 'expired' | 'not-yet-valid' | 'unusable';
  /** When it ends, ISO 8601. */
  readonly ends: string;
}

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
/** How long others may rely on a statement. */
const LIFE_MS = DAY_MS;
/** A statement that is served is never older. */
const RENEW_AFTER_MS = LIFE_MS / 4;
const WARN_MS = 30 * DAY_MS;
const WARN_AGAIN_MS = DAY_MS;

interface Made {
  readonly statement: string;
  /** What it says, and by which certificate. */
  readonly about: string;
  readonly at: number;
}

export class OwnStatement {
  readonly #options: OwnStatementOptions;
  readonly #files: FollowedFiles;
  readonly #now: () => number;
  #certificate: OrganisationCertificate | undefined;
  #isUnusable = false;
  #made: Made | undefined;
  readonly #turns = new Serial();
  #number = 0;
  #warned: { readonly state: CertificateHealth['state']; readonly at: number } | undefined;

  private constructor(options: OwnStatementOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { serverName, certFile, keyFile } = options;
    this.#files = new FollowedFiles([certFile, keyFile], ([certificates = '', keys = '']) => {
      this.#certificate = readOrganisationCertificate({ serverName, certFile, keyFile, certificates, keys });
    });
  }

  /**
   * @throws OrganisationCertificateError when the certificate is not this server's; an expired one is no error, since
   *   a server that does not start helps nobody: its people would lose their own meetings too
   */
  static async open(options: OwnStatementOptions): Promise<OwnStatement> {
    const own = new OwnStatement(options);
    try {
      await own.#files.look();
    } catch (error) {
      if (error instanceof OrganisationCertificateError) throw error;
      const why = error instanceof Error ? error.message : 'unknown';
      throw new OrganisationCertificateError(`The organisation's certificate cannot be read: ${why}`);
    }
    own.#warn();
    return own;
  }

  get health(): CertificateHealth {
    const { notBefore = 0, notAfter = 0 } = this.#certificate ?? {};
    const now = this.#now();
    const ends = new Date(notAfter).toISOString();
    if (this.#isUnusable) return { state: 'unusable', ends };
    if (now < notBefore) return { state: 'not-yet-valid', ends };
    if (now >= notAfter) return { state: 'expired', ends };
    // Of a certificate that lives for less than three months, the last third is the time to renew it.
    const isSoon = notAfter - now < Math.min(WARN_MS, (notAfter - notBefore) / 3);
    return { state: isSoon ? 'ends-soon' : 'valid', ends };
  }

  /** Reads the files again if they have changed. What does not fit is logged, and the certificate before stays in use. */
  async look(): Promise<void> {
    try {
      const before = this.#certificate;
      await this.#files.look();
      if (this.#certificate === before) return;
      this.#isUnusable = false;
      this.#options.log.info({ ends: this.health.ends }, "the organisation's certificate was read again");
    } catch (error) {
      this.#isUnusable = true;
      this.#options.log.error({ err: error }, "the organisation's new certificate cannot be used, the old one stays");
    } finally {
      this.#warn();
    }
  }

  /** The statement as it is now; undefined while the certificate is not valid. */
  current(): Promise<string | undefined> {
    // One at a time: of two with different numbers the lower one might be kept.
    return this.#turns.run('statement', async () => {
      await this.look();
      const certificate = this.#certificate;
      const now = this.#now();
      if (!certificate || now < certificate.notBefore || now >= certificate.notAfter) return undefined;
      const keys = new Map(this.#options.keys.published(now).map(({ keyId, publicKey }) => [keyId, publicKey]));
      const about = [certificate.chain[0]?.fingerprint256, ...[...keys].flat()].join(' ');
      const made = this.#made;
      if (made?.about === about && now - made.at < RENEW_AFTER_MS && now >= made.at) return made.statement;
      const statement = await this.#make(certificate, keys, now);
      this.#made = { statement, about, at: now };
      return statement;
    });
  }

  #make({ key, chain, notAfter }: OrganisationCertificate, keys: Map<string, string>, now: number): Promise<string> {
    // The time rises over restarts, and also when an old backup is put back, which a number in it would not.
    this.#number = Math.max(this.#number + 1, Math.floor(now / 1000));
    return makeStatement({
      serverName: this.#options.serverName,
      keys,
      number: this.#number,
      issuedAt: now,
      expiresAt: Math.min(now + LIFE_MS, notAfter),
      certificateKey: key,
      chain: [...chain],
    });
  }

  /** Says in the log, once a day, that somebody has to do something. */
  #warn(): void {
    const { state, ends } = this.health;
    const now = this.#now();
    const isNew = this.#warned?.state !== state || now - this.#warned.at >= WARN_AGAIN_MS;
    if (state === 'valid' || state === 'unusable' || !isNew) return;
    this.#warned = { state, at: now };
    const { log } = this.#options;
    if (state === 'ends-soon') {
      log.warn({ ends }, "the organisation's certificate ends soon; renew it: npx hansetag cert renew");
    } else if (state === 'expired') {
      log.error({ ends }, "the organisation's certificate has expired: organisations that require one refuse us");
    } else {
      log.error("the organisation's certificate is not valid yet: organisations that require one refuse us");
    }
  }
}

/** Mounted at the root. Like the keys it is for everybody. */
export function statementRouter(own: OwnStatement | undefined, signing: Pick<SigningKeyFile, 'look'>): Router {
  const router = express.Router();
  methods(router, '/_hansetag/key/v1/statement', {
    get: async (_request, response) => {
      // Whoever asks because of a key that was rolled a moment ago finds it.
      await signing.look();
      const statement = await own?.current();
      if (statement === undefined) {
        const why = own ? `The certificate of this organisation is ${own.health.state}.` : 'It has no certificate.';
        throw new MatrixError(404, 'M_NOT_FOUND', `This organisation makes no statement about its keys. ${why}`);
      }
      response.setHeader('Content-Type', 'application/jose');
      response.setHeader('Cache-Control', 'no-cache');
      response.send(Buffer.from(statement));
    },
  });
  return router;
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { Authority } from '../../deploy/authority/authority.ts';
import type { OrganisationOptions } from '../../deploy/authority/authority.ts';
import { OwnKeys } from '../../federation/own-keys.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { judgeStatement } from '../../federation/trust/statement.ts';
import { createLog } from '../../homeserver/base/log.ts';
import { rollSigningKey } from '../../homeserver/base/signing-key-file.ts';
import { OrganisationCertificateError } from '../../homeserver/engine/trust/organisation-certificate.ts';
import { OwnStatement } from '../../homeserver/engine/trust/own-statement.ts';
import { eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation } from '../support/homeservers.ts';

const SERVER = 'hamburg.example';
const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

describe('Trust by certificate: the own statement', () => {
  let folder: string;
  let authority: Authority;
  let now: number;
  let logged: string[];
  const revocation = { check: () => Promise.resolve({ status: 'good' as const, until: Infinity }) };

  beforeAll(async () => {
    const options = { url: 'http://127.0.0.1:9', name: 'O=Spec, CN=Root', now: () => Date.now() };
    authority = await (await Authority.root(options)).intermediate('O=Spec, CN=Authority');
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-statement-'));
    now = Date.now();
    logged = [];
  });
  afterEach(() => rm(folder, { recursive: true }));

  const certFile = (): string => join(folder, 'organisation.pem');
  const keyFile = (): string => join(folder, 'organisation.key');

  async function install(options: OrganisationOptions = {}, keyOf?: { readonly keyPem: string }): Promise<void> {
    const issued = await authority.organisation({ host: SERVER, organisation: 'Hansestadt Hamburg', ...options });
    await writeFile(keyFile(), (keyOf ?? issued).keyPem);
    await writeFile(certFile(), issued.chainPem);
  }

  function open(keys = OwnKeys.of(createSigningKey(generateSeed(), 'a'))): Promise<OwnStatement> {
    const log = createLog('info', { write: (line) => void logged.push(line) });
    return OwnStatement.open({
      serverName: SERVER,
      certFile: certFile(),
      keyFile: keyFile(),
      keys,
      log,
      now: () => now,
    });
  }

  async function made(own: OwnStatement): Promise<string> {
    const statement = await own.current();
    if (statement === undefined) throw new Error('There is no statement.');
    return statement;
  }

  const numberOf = (statement: string): number => Number(decodeJwt(statement)['number']);

  it('lists the keys that sign now and next, and others judge it as trusted', async () => {
    await install();
    const turns = ['a', 'b'].map((version, index) => {
      const key = createSigningKey(generateSeed(), version);
      return { from: index === 0 ? -Infinity : now + DAY_MS, keyId: key.keyId, publicKey: key.publicKey, key };
    });
    const statement = await made(await open(new OwnKeys(turns)));
    const root = authority.issued.chain.at(-1);
    if (!root) throw new Error('There is no authority.');
    const verdict = await judgeStatement(statement, { serverName: SERVER, anchors: [root], now, revocation });
    expect(verdict).toEqual(
      jasmine.objectContaining({
        trusted: true,
        organisation: 'Hansestadt Hamburg',
        keys: new Map(turns.map(({ keyId, publicKey }) => [keyId, publicKey])),
      }),
    );
    expect(decodeProtectedHeader(statement).x5c?.length).toBe(2);
  });

  it('is the same for hours, and then another one with a higher number', async () => {
    await install();
    const own = await open();
    const first = await made(own);
    now += HOUR_MS;
    expect(await made(own)).toBe(first);
    now += 6 * HOUR_MS;
    const [second, same] = await Promise.all([made(own), made(own)]);
    expect(same).toBe(second);
    expect(numberOf(second)).toBeGreaterThan(numberOf(first));
    expect(Number(decodeJwt(second).exp) * 1000).toBeGreaterThan(now + 17 * HOUR_MS);
  });

  it('has a higher number after a restart, whatever was restored, and when the clock goes back', async () => {
    await install({ notBefore: new Date(now - 2 * DAY_MS) });
    const own = await open();
    const first = numberOf(await made(own));
    now -= DAY_MS / 2;
    expect(numberOf(await made(own))).toBeGreaterThan(first);
    now += DAY_MS;
    expect(numberOf(await made(await open()))).toBeGreaterThan(first);
  });

  it('never outlives the certificate, and is missing when that has expired', async () => {
    await install({ notAfter: new Date(now + HOUR_MS) });
    const own = await open();
    expect(Number(decodeJwt(await made(own)).exp) * 1000).toBeLessThanOrEqual(now + HOUR_MS);
    now += HOUR_MS;
    expect(await own.current()).toBeUndefined();
    expect(own.health.state).toBe('expired');
    expect(logged.filter((line) => line.includes('has expired')).length).toBe(1);
  });

  it('warns once a day in the log, and in the health, that the certificate ends within 30 days', async () => {
    await install({ notAfter: new Date(now + 29 * DAY_MS), notBefore: new Date(now - 300 * DAY_MS) });
    const own = await open();
    expect(own.health.state).toBe('ends-soon');
    for (let hours = 0; hours < 48; hours++) {
      await own.look();
      now += HOUR_MS;
    }
    expect(logged.filter((line) => line.includes('npx hansetag cert renew')).length).toBe(2);
  });

  it('starts with a certificate that has expired, because its people still meet', async () => {
    await install({ notAfter: new Date(now - 1000), notBefore: new Date(now - DAY_MS) });
    const own = await open();
    expect(own.health.state).toBe('expired');
    expect(await own.current()).toBeUndefined();
    expect(logged.join()).toContain('organisations that require one refuse us');
  });

  it('does not start with a certificate that nobody would trust, and says what to do', async () => {
    const stranger = await authority.organisation({ host: SERVER });
    await install({ host: 'bremen.example' });
    await expectAsync(open()).toBeRejectedWithError(OrganisationCertificateError, /bremen\.example, not for hamburg/);
    await install({}, stranger);
    await expectAsync(open()).toBeRejectedWithError(OrganisationCertificateError, /No key in .* belongs to/);
    await install({ notAfter: new Date(now + 400 * DAY_MS) });
    await expectAsync(open()).toBeRejectedWithError(OrganisationCertificateError, /398 days/);
    await writeFile(certFile(), 'Guten Tag');
    await expectAsync(open()).toBeRejectedWithError(OrganisationCertificateError, /cannot be read/);
    await rm(certFile());
    await expectAsync(open()).toBeRejectedWithError(OrganisationCertificateError, /ENOENT/);
  });

  it('takes a renewed certificate without a restart, and keeps the one before while the new one does not fit', async () => {
    await install();
    const own = await open();
    const first = await made(own);
    await writeFile(certFile(), (await authority.organisation({ host: 'bremen.example' })).chainPem);
    await eventually(
      () => own.look().then(() => own.health.state),
      (state) => state === 'unusable',
    );
    expect(await made(own)).toBe(first);
    expect(logged.filter((line) => line.includes('cannot be used, the old one stays')).length).toBe(1);
    await install();
    const second = await eventually(
      () => made(own),
      (statement) => statement !== first,
    );
    expect(own.health.state).toBe('valid');
    expect(numberOf(second)).toBeGreaterThan(numberOf(first));
    expect(decodeProtectedHeader(second).x5c?.[0]).not.toBe(decodeProtectedHeader(first).x5c?.[0]);
  });

  describe('of a running server', () => {
    let federation: TestFederation;
    afterEach(() => federation.close());

    it('is served beside the key document, and a signing key that is rolled appears in both', async () => {
      await install({ host: 'localhost' });
      const signingKeyFile = join(folder, 'signing.key');
      federation = await startHomeservers(1, {
        HANSETAG_ORGANISATION_CERT: certFile(),
        HANSETAG_ORGANISATION_KEY: keyFile(),
        HANSETAG_SIGNING_KEY_FILE: signingKeyFile,
      });
      const [server] = federation.servers;
      if (!server) throw new Error('There is no server.');
      const response = await fetch(`${server.url}/_hansetag/key/v1/statement`);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('application/jose');
      const first = await response.text();
      const before = Object.keys(decodeJwt(first)['verify_keys'] as object);
      expect(before.length).toBe(1);

      const { next } = await rollSigningKey(signingKeyFile, Date.now() + HOUR_MS);
      const published = await eventually(
        async () => Object.keys(decodeJwt(await statementOf(server.url))['verify_keys'] as object),
        (keys) => keys.length === 2,
      );
      const both = [...before, next].toSorted();
      expect(published.toSorted()).toEqual(both);
      const { verify_keys: verifyKeys, signatures } = await keysOf(server.url);
      expect(Object.keys(verifyKeys).toSorted()).toEqual(both);
      expect(Object.keys(signatures[server.serverName] ?? {}).toSorted()).toEqual(both);
      const health = (await (await fetch(`${server.url}/_hansetag/health`)).json()) as Record<string, unknown>;
      expect(health['organisationCertificate']).toEqual(jasmine.objectContaining({ state: 'valid' }));
    });

    it('is absent without a certificate', async () => {
      federation = await startHomeservers(1);
      const response = await fetch(`${federation.servers[0]?.url ?? ''}/_hansetag/key/v1/statement`);
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual(jasmine.objectContaining({ errcode: 'M_NOT_FOUND' }));
    });
  });
});

interface KeyDocument {
  readonly verify_keys: Readonly<Record<string, unknown>>;
  readonly signatures: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

async function statementOf(url: string): Promise<string> {
  return (await fetch(`${url}/_hansetag/key/v1/statement`)).text();
}

async function keysOf(url: string): Promise<KeyDocument> {
  return (await (await fetch(`${url}/_matrix/key/v2/server`)).json()) as KeyDocument;
}

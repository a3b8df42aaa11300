import { X509Certificate } from 'node:crypto';
import type { Authority, Issued } from '../../../deploy/authority/authority.ts';
import { signDer } from '../../../deploy/authority/keys.ts';
import { answerOcsp } from '../../../deploy/authority/ocsp-response.ts';
import { readAnchors, readCertificate, readChain } from '../../../federation/trust/certificate.ts';
import { MAX_CRL_BYTES } from '../../../federation/trust/crl.ts';
import { checkDer, childrenOf, DerError, readElement, TAG, writeElement } from '../../../federation/trust/der.ts';
import { findPath } from '../../../federation/trust/path.ts';
import type { Path } from '../../../federation/trust/path.ts';
import type { Revocation } from '../../../federation/trust/revocation.ts';
import { TrustError } from '../../../federation/trust/trust-error.ts';
import { makeWorld, outcome, textOf } from './kit.ts';
import type { World } from './kit.ts';
import { payloadOf, signed } from './raw-statement.ts';

/** Of each kind of damage. */
const ROUNDS = 150;

/** A generator of numbers below a limit, the same in each run. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('Trust by certificate: hostile input', () => {
  let world: World;
  let organisation: Issued;
  let next: (limit: number) => number;

  beforeAll(async () => {
    world = await makeWorld();
    organisation = await world.organisation();
  });

  afterAll(() => world.close());

  beforeEach(() => {
    next = random(4711);
  });

  /** A copy with one to three octets changed, or cut off. */
  function damage(bytes: Uint8Array): Buffer {
    const copy = Buffer.from(bytes);
    if (next(10) === 0) return copy.subarray(0, next(copy.length));
    for (let count = next(3) + 1; count > 0; count--) {
      const at = next(copy.length);
      copy[at] = (copy[at] ?? 0) ^ (next(255) + 1);
    }
    return copy.equals(bytes) ? damage(bytes) : copy;
  }

  function judgeChain(chain: readonly Uint8Array[]): Promise<string> {
    const x5c = chain.map((der) => Buffer.from(der).toString('base64'));
    return world.judge(signed(organisation, { x5c }, payloadOf(world))).then(outcome);
  }

  it('in certificates is never trusted and never an error, although the organisation signs the statement', async () => {
    const chain = organisation.chain.map(({ raw }) => raw);
    expect(await judgeChain(chain)).toBe('trusted');
    for (let round = 0; round < ROUNDS; round++) {
      const which = next(chain.length);
      const damaged = chain.map((der, index) => (index === which ? damage(der) : der));
      const said = await judgeChain(damaged);
      if (said === 'trusted') fail(`trusted: ${damaged.map((der) => der.toString('base64')).join(' ')}`);
    }
  });

  it('in statements is never trusted and never an error', async () => {
    const jws = await world.statement(organisation);
    for (let round = 0; round < ROUNDS; round++) {
      const damaged = damage(Buffer.from(jws, 'latin1')).toString('latin1');
      const verdict = await world.judge(damaged);
      if (verdict.trusted && damaged.trim() !== jws) fail(`trusted: ${damaged}`);
    }
    const [header = '', payload = ''] = jws.split('.');
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = Buffer.from(round % 2 === 0 ? header : payload, 'base64url');
      const damaged = damage(bytes).toString('latin1');
      const made =
        round % 2 === 0 ? signed(organisation, damaged, payloadOf(world)) : signed(organisation, {}, damaged);
      // Whatever it says now, the organisation has signed it: it must be read without an error.
      expect(['string', 'undefined']).toContain(typeof textOf(await world.judge(made)));
    }
  });

  it('in CRLs and OCSP responses never says that a certificate is good', async () => {
    const { intermediate, root, clock } = world;
    // Only the organisation's certificate is asked about.
    const anchors = [intermediate.certificate];
    const pathOf = (issued: Issued): Promise<Path> => findPath([issued.certificate.raw], anchors, clock.time);
    const crlOnly = await pathOf(await world.organisation({ sources: 'crl' }));
    const ocspOnly = await pathOf(await world.organisation({ sources: 'ocsp' }));
    const crl = await intermediate.crl({ serials: ['41', '42', '43'] });
    let answer: Buffer = Buffer.from(crl);
    const asked = (): Revocation =>
      world.makeRevocation({
        fetchCrl: () => Promise.resolve(answer),
        askOcsp: (_url, request) => {
          answer = damage(answerOcsp(intermediate, request));
          return Promise.resolve(answer);
        },
      });
    expect((await asked().check(crlOnly)).status).toBe('good');
    for (let round = 0; round < ROUNDS; round++) {
      answer = damage(crl);
      for (const path of [crlOnly, ocspOnly]) {
        const { status } = await asked().check(path);
        if (status !== 'unknown') fail(`${status}: ${answer.toString('base64')}`);
      }
    }
    // Those of another authority of the same name are no better.
    const namesake = await root.intermediate('O=Hanse, CN=Organisations');
    answer = Buffer.from(await namesake.crl());
    expect((await asked().check(crlOnly)).status).toBe('unknown');
  });

  it('of 1,000 certificates, or of more than allowed, is refused before any is read', async () => {
    const [leaf, between] = organisation.chain.map(({ raw }) => raw);
    if (!leaf || !between) throw new Error('A certificate is missing.');
    const many = [leaf, ...Array.from({ length: 999 }, () => between)];
    expect(await judgeChain(many)).toBe('malformed');
    expect(await judgeChain([leaf, ...Array.from({ length: 8 }, () => between)])).toBe('malformed');
    const small = Array.from({ length: 1000 }, () => Buffer.from('3000', 'hex'));
    expect(await judgeChain(small)).toBe('malformed');
    expect(await judgeChain([Buffer.alloc(17_000, 0x30)])).toBe('malformed');
    const pem = organisation.certificate.toString().repeat(1000);
    expect(() => readChain(pem)).toThrowError(TrustError, /more than 8/);
    expect(() => readAnchors(pem)).toThrowError(TrustError, /more than 500/);
  });

  it('of eight authorities that all have the same name and key identifier costs few signatures', async () => {
    const loop: Authority[] = [];
    for (let index = 0; index < 7; index++) loop.push(await world.makeRoot('CN=Same'));
    const anchors = loop.map(({ certificate }) => certificate);
    const chain = [organisation.certificate, ...anchors];
    const x5c = chain.map(({ raw }) => raw.toString('base64'));
    const jws = signed(organisation, { x5c }, payloadOf(world));
    expect(outcome(await world.judge(jws, { anchors }))).toBe('unknown-authority');
  });

  it('that is not DER is told apart: depth, number of elements, lengths, strings in pieces', () => {
    let deep: Uint8Array = Buffer.from('0500', 'hex');
    for (let depth = 0; depth < 40; depth++) deep = writeElement(0x30, deep);
    const cases: readonly [RegExp, Uint8Array][] = [
      [/nested/, deep],
      [/more than 100 elements/, writeElement(0x30, Buffer.from('0500'.repeat(200), 'hex'))],
      [/indefinite/, Buffer.from('30800000', 'hex')],
      [/not minimal/, Buffer.from('30810100', 'hex')],
      [/not minimal/, Buffer.from('3082000100', 'hex')],
      [/too large/, Buffer.from('308501000000000000', 'hex')],
      [/longer than/, Buffer.from('3005', 'hex')],
      [/longer than/, Buffer.from('3003020500', 'hex')],
      [/cut off/, Buffer.from('30', 'hex')],
      [/cut off/, Buffer.alloc(0)],
      [/after the end/, Buffer.from('05000500', 'hex')],
      [/pieces/, Buffer.from('24040402aabb', 'hex')],
      [/several bytes/, Buffer.from('1f8100', 'hex')],
    ];
    for (const [message, der] of cases) {
      expect(() => checkDer(der, 100))
        .withContext(String(message))
        .toThrowError(DerError, message);
    }
    expect(() => checkDer(organisation.certificate.raw, 1000)).not.toThrow();
    const trailing = Buffer.concat([organisation.certificate.raw, Buffer.from([0])]);
    expect(() => readCertificate(trailing)).toThrowError(TrustError, /after the end/);
    // OpenSSL reads it all the same.
    expect(() => new X509Certificate(trailing)).not.toThrow();
  });

  it('as a CRL of the size that is allowed is read, and a longer one is not', async () => {
    const { intermediate, clock } = world;
    const issued = await world.organisation({ sources: 'crl' });
    const path = await findPath([issued.certificate.raw], [intermediate.certificate], clock.time);
    const check = async (crl: Uint8Array): Promise<string> => {
      const revocation = world.makeRevocation({ fetchCrl: () => Promise.resolve(crl) });
      return (await revocation.check(path)).status;
    };
    const large = await crlWith(intermediate, 110_000);
    expect(large.length).toBeGreaterThan(MAX_CRL_BYTES / 2);
    expect(large.length).toBeLessThan(MAX_CRL_BYTES);
    expect(await check(large)).toBe('good');
    expect(await check(await crlWith(intermediate, 110_000, issued.certificate.serialNumber))).toBe('revoked');
    expect(await check(await crlWith(intermediate, 220_000))).toBe('unknown');
  });
});

/** A CRL with many entries; the library of the authority would need minutes for it. */
async function crlWith(authority: Authority, count: number, last = '7f'): Promise<Uint8Array> {
  const small = await authority.crl({ serials: ['41'] });
  const [tbs, algorithm] = [...childrenOf(small, readElement(small, 0))];
  if (!tbs || !algorithm) throw new Error('The CRL is none.');
  const fields = [...childrenOf(small, tbs)];
  const list = fields.at(-1);
  if (!list) throw new Error('The CRL has no list.');
  const date = writeElement(TAG.utcTime, Buffer.from('270101000000Z'));
  const entry = (serial: Buffer): Buffer =>
    writeElement(TAG.sequence, Buffer.concat([writeElement(TAG.integer, serial), date]));
  const serials = Array.from({ length: count }, (_, index) => Buffer.from((0x4000000000 + index).toString(16), 'hex'));
  const entries = [...serials, Buffer.from(last, 'hex')].map(entry);
  const head = small.subarray(tbs.contents, list.start);
  const signed = writeElement(TAG.sequence, Buffer.concat([head, writeElement(TAG.sequence, Buffer.concat(entries))]));
  const signature = Buffer.concat([Buffer.from([0]), signDer(authority.issued.keys, signed)]);
  const alg = small.subarray(algorithm.start, algorithm.end);
  return writeElement(TAG.sequence, Buffer.concat([signed, alg, writeElement(TAG.bitString, signature)]));
}

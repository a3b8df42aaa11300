import 'reflect-metadata';
import { Extension } from '@peculiar/x509';
import * as pkijs from 'pkijs';
import type { Authority, CrlOptions, Issued, Sources } from '../../../deploy/authority/authority.ts';
import { answerOcsp } from '../../../deploy/authority/ocsp-response.ts';
import type { OcspOptions } from '../../../deploy/authority/ocsp-response.ts';
import { MAX_CRL_BYTES } from '../../../federation/trust/crl.ts';
import { DAY_MS, fetchCrl, HOUR_MS, makeWorld, outcome, SERVER, textOf } from './kit.ts';
import type { World } from './kit.ts';
import { OpenSsl } from './openssl.ts';

describe('Trust by certificate: revocation', () => {
  let world: World;

  beforeEach(async () => {
    world = await makeWorld();
  });

  afterEach(() => world.close());

  /** Judges the certificate with nothing cached. */
  async function fresh(issued: Issued): Promise<string> {
    return outcome(await world.verdict(issued, { revocation: world.makeRevocation() }));
  }

  async function issue(sources: Sources): Promise<Issued> {
    return world.organisation({ sources });
  }

  it('is found out by a CRL, by OCSP, and by both', async () => {
    for (const sources of ['crl', 'ocsp', 'both'] as const) {
      const issued = await issue(sources);
      expect(await fresh(issued))
        .withContext(sources)
        .toBe('trusted');
      world.intermediate.revoke(issued.certificate);
      const verdict = await world.verdict(issued, { revocation: world.makeRevocation() });
      expect(outcome(verdict)).withContext(sources).toBe('revoked');
      expect(textOf(verdict)).toContain('is revoked by its authority');
    }
  });

  it('is found out whatever the serial number is: one octet, twenty, or with its highest bit set', async () => {
    for (const serialNumber of ['01', '00ff', '7f'.repeat(20), `00${'fe'.repeat(19)}`]) {
      for (const sources of ['crl', 'ocsp'] as const) {
        const issued = await world.organisation({ sources, serialNumber });
        world.intermediate.revoked.crl.clear();
        world.intermediate.revoked.ocsp.clear();
        expect(await fresh(issued))
          .withContext(`${sources} ${serialNumber}`)
          .toBe('trusted');
        world.intermediate.revoke(issued.certificate);
        expect(await fresh(issued))
          .withContext(`${sources} ${serialNumber}`)
          .toBe('revoked');
      }
    }
  });

  it('counts as soon as one of the sources says so', async () => {
    for (const kind of ['crl', 'ocsp'] as const) {
      const issued = await issue('both');
      world.intermediate.revoke(issued.certificate, kind);
      expect(await fresh(issued))
        .withContext(kind)
        .toBe('revoked');
    }
  });

  it('of an authority counts for all that it has issued', async () => {
    const issued = await issue('both');
    world.root.revoke(world.intermediate.certificate);
    const verdict = await world.verdict(issued);
    expect(outcome(verdict)).toBe('revoked');
    expect(textOf(verdict)).toContain('CN=Organisations');
  });

  it('of others does not matter', async () => {
    const [issued, other] = [await issue('both'), await issue('both')];
    world.intermediate.revoke(other.certificate);
    expect(await fresh(issued)).toBe('trusted');
  });

  it('is unknown when neither source answers, and one is enough', async () => {
    const issued = await issue('both');
    world.responder.down.ocsp = true;
    expect(await fresh(issued)).toBe('trusted');
    world.responder.down.crl = true;
    const verdict = await world.verdict(issued, { revocation: world.makeRevocation() });
    expect(outcome(verdict)).toBe('revocation-unknown');
    expect(textOf(verdict)).toContain(world.root.crlUrl);
    world.responder.down.ocsp = false;
    expect(await fresh(issued)).toBe('trusted');
  });

  it('is unknown when a source hangs', async () => {
    const issued = await issue('crl');
    const revocation = world.makeRevocation({ fetchCrl: () => new Promise(() => undefined), timeoutMs: 50 });
    expect(outcome(await world.verdict(issued, { revocation }))).toBe('revocation-unknown');
  });

  it('is asked from a cache: until half an hour has gone, then until 24 h after the answer has expired', async () => {
    const { clock, responder } = world;
    const issued = await world.organisation({ sources: 'crl', notAfter: new Date(clock.time + 30 * DAY_MS) });
    const judged = async (): Promise<string> => outcome(await world.verdict(issued));
    expect(await judged()).toBe('trusted');
    const before = responder.answered.crl + responder.answered.ocsp;
    clock.time += HOUR_MS / 3;
    expect(await judged()).toBe('trusted');
    expect(responder.answered.crl + responder.answered.ocsp).toBe(before);
    clock.time += HOUR_MS;
    world.responder.setDown(true);
    expect(await judged()).toBe('trusted');
    // The CRL expires after 7 days, the OCSP response about the authority after one.
    world.responder.down.ocsp = false;
    clock.time += 7 * DAY_MS + 20 * HOUR_MS;
    expect(await judged()).toBe('trusted');
    clock.time += 4 * HOUR_MS;
    expect(await judged()).toBe('revocation-unknown');
    world.responder.setDown(false);
    clock.time += HOUR_MS;
    expect(await judged()).toBe('trusted');
  });

  it('is noticed within half an hour, although the answer before has not expired', async () => {
    const issued = await issue('both');
    expect(outcome(await world.verdict(issued))).toBe('trusted');
    world.intermediate.revoke(issued.certificate);
    world.clock.time += HOUR_MS / 2;
    expect(outcome(await world.verdict(issued))).toBe('revoked');
    // Whoever takes the responders away afterwards gains nothing.
    world.responder.setDown(true);
    world.clock.time += HOUR_MS;
    expect(outcome(await world.verdict(issued))).toBe('revoked');
  });

  it('asks a source that failed again after a minute, not at once', async () => {
    const issued = await issue('crl');
    let asked = 0;
    const revocation = world.makeRevocation({
      fetchCrl: (url) => {
        asked++;
        return url === world.intermediate.crlUrl && asked < 4 ? Promise.reject(new Error('away')) : fetchCrl(url);
      },
    });
    const judged = async (): Promise<string> => outcome(await world.verdict(issued, { revocation }));
    expect(await judged()).toBe('revocation-unknown');
    const first = asked;
    expect(await judged()).toBe('revocation-unknown');
    expect(asked).toBe(first);
    asked = 10;
    world.clock.time += 61_000;
    expect(await judged()).toBe('trusted');
  });

  it('asks once for many at the same time', async () => {
    const issued = await Promise.all(Array.from({ length: 5 }, () => issue('crl')));
    const verdicts = await Promise.all(issued.map((one) => world.verdict(one)));
    expect(verdicts.map(outcome)).toEqual(Array.from({ length: 5 }, () => 'trusted'));
    // One of the root, one of the intermediate.
    expect(world.responder.answered.crl).toBe(2);
  });

  it('asks nobody before everything else is right', async () => {
    const stranger = await world.makeRoot('CN=Stranger');
    for (const issued of [
      await stranger.organisation({ host: SERVER }),
      await world.organisation({ host: 'x.example' }),
    ]) {
      await world.verdict(issued);
    }
    const issued = await issue('both');
    await world.verdict({ ...issued, chain: [...issued.chain].reverse() }).catch(() => undefined);
    expect(world.responder.answered).toEqual({ crl: 0, ocsp: 0 });
  });

  describe('beside OpenSSL', () => {
    let openssl: OpenSsl;

    beforeAll(async () => {
      openssl = await OpenSsl.open();
    });

    afterAll(() => openssl.close());

    it('by CRLs agrees with openssl verify -crl_check_all', async () => {
      const { clock, root } = world;
      const other = await world.makeRoot('CN=Other');
      const later = (offset: number): Date => new Date(clock.time + offset);
      const cases: readonly [name: string, who: 'leaf' | 'authority' | 'nobody', options: CrlOptions, ours: string][] =
        [
          ['nobody', 'nobody', {}, 'trusted'],
          ['the organisation', 'leaf', {}, 'revoked'],
          ['the authority', 'authority', {}, 'revoked'],
          ['expired', 'nobody', { nextUpdate: later(-25 * HOUR_MS) }, 'revocation-unknown'],
          ['from the future', 'nobody', { thisUpdate: later(HOUR_MS) }, 'revocation-unknown'],
          ['signed by another', 'nobody', { keys: other.issued.keys }, 'revocation-unknown'],
        ];
      for (const [name, who, options, ours] of cases) {
        const intermediate = await root.intermediate('CN=Below', { sources: 'crl' });
        world.responder.serve(intermediate);
        world.responder.setCrl(intermediate, options);
        const issued = await intermediate.organisation({ host: SERVER, sources: 'crl' });
        if (who === 'leaf') intermediate.revoke(issued.certificate);
        if (who === 'authority') root.revoke(intermediate.certificate);
        expect(await fresh(issued))
          .withContext(name)
          .toBe(ours);
        const crls = [await root.crl(), await intermediate.crl(options)];
        const accepted = await openssl.accepts(issued.chain, [root.certificate], clock.time, crls);
        expect(accepted)
          .withContext(`${name}: OpenSSL`)
          .toBe(ours === 'trusted');
      }
    });

    it('by OCSP is answered by our responder as openssl ocsp expects it', async () => {
      world.clock.time = Date.now();
      const root = await world.makeRoot('CN=Now');
      const issued = await root.organisation({ host: SERVER });
      const ask = (): Promise<string> => openssl.askOcsp(root.ocspUrl, issued.certificate, root.certificate);
      expect(await ask()).toBe('good');
      root.revoke(issued.certificate);
      expect(await ask()).toBe('revoked');
      const delegate = await root.issue({ subject: 'CN=R', purposes: ['1.3.6.1.5.5.7.3.9'], sources: 'none' });
      world.responder.setOcsp(root, { delegate });
      expect(await ask()).toBe('revoked');
    });
  });

  describe('by a CRL', () => {
    async function withCrl(make: (authority: Authority) => Promise<Uint8Array>): Promise<string> {
      const issued = await issue('crl');
      const revocation = world.makeRevocation({
        fetchCrl: (url) => (url === world.intermediate.crlUrl ? make(world.intermediate) : fetchCrl(url)),
      });
      const verdict = await world.verdict(issued, { revocation });
      return verdict.trusted ? 'trusted' : textOf(verdict);
    }
    const later = (offset: number): Date => new Date(world.clock.time + offset);

    it('is that of the issuer, with its signature', async () => {
      expect(await withCrl((authority) => authority.crl())).toBe('trusted');
      const other = await world.makeRoot('CN=Other');
      expect(await withCrl(() => other.crl())).toContain('it is by another authority');
      expect(await withCrl((authority) => authority.crl({ keys: other.issued.keys }))).toContain(
        'its signature is wrong',
      );
      const namesake = await world.root.intermediate('O=Hanse, CN=Organisations');
      expect(await withCrl(() => namesake.crl())).toContain('its signature is wrong');
    });

    it('is in date, with a day of grace, and says when the next one is due', async () => {
      expect(await withCrl((authority) => authority.crl({ nextUpdate: later(-23 * HOUR_MS) }))).toBe('trusted');
      expect(await withCrl((authority) => authority.crl({ nextUpdate: later(-25 * HOUR_MS) }))).toContain(
        'has expired',
      );
      expect(await withCrl((authority) => authority.crl({ nextUpdate: undefined }))).toContain(
        'when the next one is due',
      );
      expect(await withCrl((authority) => authority.crl({ thisUpdate: later(HOUR_MS) }))).toContain('from the future');
    });

    it('is neither a delta, nor partial, nor for another place, nor with critical extensions that are unknown', async () => {
      const withExtension = (oid: string, critical: boolean, der: ArrayBuffer | Buffer): Promise<string> =>
        withCrl((authority) => authority.crl({ extensions: [new Extension(oid, critical, der)] }));
      const point = (options: object): ArrayBuffer =>
        new pkijs.IssuingDistributionPoint(options).toSchema().toBER(false);
      const url = (value: string): pkijs.GeneralName[] => [new pkijs.GeneralName({ type: 6, value })];
      expect(await withExtension('2.5.29.27', true, Buffer.from('020101', 'hex'))).toContain('it is a delta CRL');
      expect(await withExtension('1.3.6.1.4.1.99999.1', true, Buffer.from('0500', 'hex'))).toContain('not known here');
      expect(await withExtension('1.3.6.1.4.1.99999.1', false, Buffer.from('0500', 'hex'))).toBe('trusted');
      const ofPoint = (options: object): Promise<string> => withExtension('2.5.29.28', true, point(options));
      expect(await ofPoint({ distributionPoint: url(world.intermediate.crlUrl) })).toBe('trusted');
      expect(await ofPoint({ distributionPoint: url('http://elsewhere.example/') })).toContain(
        'another distribution point',
      );
      expect(await ofPoint({ indirectCRL: true })).toContain('indirect or partial');
      expect(await ofPoint({ onlySomeReasons: 0x60 })).toContain('indirect or partial');
      expect(await ofPoint({ onlyContainsAttributeCerts: true })).toContain('indirect or partial');
      expect(await ofPoint({ onlyContainsUserCerts: true })).toBe('trusted');
      expect(await ofPoint({ onlyContainsCACerts: true })).toContain('does not know it');
    });

    it('is never the one before', async () => {
      const issued = await issue('crl');
      const old = await world.intermediate.crl();
      world.intermediate.revoke(issued.certificate);
      world.clock.time += 60_000;
      const recent = await world.intermediate.crl();
      const crls = [recent, old];
      const revocation = world.makeRevocation({
        fetchCrl: (url) => (url === world.intermediate.crlUrl ? Promise.resolve(crls.shift() ?? old) : fetchCrl(url)),
      });
      expect(outcome(await world.verdict(issued, { revocation }))).toBe('revoked');
      world.clock.time += HOUR_MS;
      expect(outcome(await world.verdict(issued, { revocation }))).toBe('revoked');
    });

    it('lists the certificate among others', async () => {
      const issued = await issue('crl');
      const serials = Array.from({ length: 50 }, (_, index) => (0x40000000 + index).toString(16));
      expect(await withCrl((authority) => authority.crl({ serials }))).toBe('trusted');
      world.responder.setCrl(world.intermediate, { serials: [...serials, issued.certificate.serialNumber] });
      expect(await fresh(issued)).toBe('revoked');
    });

    it('is not longer than allowed', async () => {
      expect(await withCrl(() => Promise.resolve(new Uint8Array(MAX_CRL_BYTES + 1)))).toContain('longer than');
    });
  });

  describe('by OCSP', () => {
    const later = (offset: number): Date => new Date(world.clock.time + offset);

    async function judged(): Promise<string> {
      const issued = await issue('ocsp');
      const verdict = await world.verdict(issued, { revocation: world.makeRevocation() });
      return verdict.trusted ? 'trusted' : textOf(verdict);
    }

    it('is in date, with a day of grace', async () => {
      const set = (ocsp: OcspOptions): void => world.responder.setOcsp(world.intermediate, ocsp);
      set({ nextUpdate: later(-23 * HOUR_MS) });
      expect(await judged()).toBe('trusted');
      set({ nextUpdate: later(-25 * HOUR_MS) });
      expect(await judged()).toContain('has expired');
      set({ nextUpdate: undefined });
      expect(await judged()).toBe('trusted');
      set({ nextUpdate: undefined, thisUpdate: later(-26 * HOUR_MS) });
      expect(await judged()).toContain('has expired');
      set({ thisUpdate: later(HOUR_MS) });
      expect(await judged()).toContain('from the future');
    });

    it('repeats the nonce or has none, and a certificate that is unknown is not good', async () => {
      const set = (ocsp: OcspOptions): void => world.responder.setOcsp(world.intermediate, ocsp);
      set({ withNonce: false });
      expect(await judged()).toBe('trusted');
      set({ nonce: Buffer.alloc(32, 1) });
      expect(await judged()).toContain('answers another request');
      set({ knowsNone: true });
      expect(await judged()).toContain('does not know it');
    });

    it('is signed by the issuer, or by a responder that the issuer has certified for OCSP', async () => {
      const set = (ocsp: OcspOptions): void => world.responder.setOcsp(world.intermediate, ocsp);
      const signing = '1.3.6.1.5.5.7.3.9';
      const { intermediate, root } = world;
      const responder = (authority: Authority, purposes: string[], rest: object = {}): Promise<Issued> =>
        authority.issue({ subject: 'CN=Responder', purposes, sources: 'none', ...rest });
      const cases: readonly [string, Issued][] = [
        ['trusted', await responder(intermediate, [signing])],
        ['not certified for OCSP', await responder(intermediate, ['1.3.6.1.5.5.7.3.1'])],
        ['not certified for OCSP', await responder(intermediate, ['2.5.29.37.0'])],
        ['not certified by the authority itself', await responder(root, [signing])],
        ['expired', await responder(intermediate, [signing], { notAfter: later(-1000) })],
        ['of 2048 bits', await responder(intermediate, [signing], { keyKind: 'RSA-2048' })],
      ];
      for (const [expected, delegate] of cases) {
        set({ delegate });
        expect(await judged())
          .withContext(expected)
          .toContain(expected);
      }
      const stranger = await world.makeRoot('CN=Stranger');
      set({ delegate: { ...stranger.issued } });
      expect(await judged()).toContain('not certified by the authority itself');
      const good = await responder(intermediate, [signing]);
      set({ delegate: { ...good, keys: stranger.issued.keys } });
      expect(await judged()).toContain('its signature is not that');
    });

    it('is not believed of a responder that is revoked itself', async () => {
      const { intermediate } = world;
      const delegate = await intermediate.issue({
        subject: 'CN=Responder',
        purposes: ['1.3.6.1.5.5.7.3.9'],
        sources: 'crl',
      });
      world.responder.setOcsp(intermediate, { delegate });
      expect(await judged()).toBe('trusted');
      intermediate.revoke(delegate.certificate);
      expect(await judged()).toContain('the certificate of its responder is revoked');
    });

    it('is about the certificate that was asked about', async () => {
      const [issued, other] = [await issue('ocsp'), await issue('ocsp')];
      const { makeRevocation, intermediate } = world;
      let answers: Uint8Array | undefined;
      const remembering = makeRevocation({
        askOcsp: (url, request) => {
          const authority = url === intermediate.ocspUrl ? intermediate : world.root;
          const answer = answerOcsp(authority, request, { withNonce: false });
          if (authority === intermediate) answers ??= answer;
          return Promise.resolve(authority === intermediate ? (answers ?? answer) : answer);
        },
      });
      expect(outcome(await world.verdict(other, { revocation: remembering }))).toBe('trusted');
      const verdict = await world.verdict(issued, { revocation: remembering });
      expect(textOf(verdict)).toContain('it is not about this certificate');
    });
  });
});

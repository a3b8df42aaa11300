import 'reflect-metadata';
import { createHmac, createPublicKey, sign } from 'node:crypto';
import { KeyUsageFlags } from '@peculiar/x509';
import type { Issued } from '../../../deploy/authority/authority.ts';
import { encodeBase64 } from '../../../federation/base64.ts';
import { makeStatement, MAX_STATEMENT_LENGTH } from '../../../federation/trust/statement.ts';
import { TrustError } from '../../../federation/trust/trust-error.ts';
import { rejection } from '../support.ts';
import { DAY_MS, HOUR_MS, KEYS, makeWorld, outcome, SERVER, textOf } from './kit.ts';
import type { World } from './kit.ts';
import { encode, headerOf, payloadOf, signed } from './raw-statement.ts';

describe('Trust by certificate: the statement of an organisation', () => {
  let world: World;
  let organisation: Issued;

  beforeAll(async () => {
    world = await makeWorld();
    organisation = await world.organisation();
  });

  afterAll(() => world.close());

  it('is accepted from an authority that is trusted, with name, keys, number and dates', async () => {
    const verdict = await world.verdict(organisation);
    expect(verdict).toEqual({
      trusted: true,
      organisation: 'Hansestadt Lübeck',
      keys: KEYS,
      number: 5,
      digest: jasmine.stringMatching(/^[\w-]{43}$/),
      until: world.clock.time + HOUR_MS,
      serial: organisation.certificate.serialNumber,
      issuer: 'O=Hanse, CN=Organisations',
      notAfter: organisation.certificate.validToDate.getTime(),
    });
  });

  it('is accepted with each kind of key of the profile, and with each kind of authority that is strong enough', async () => {
    expect(outcome(await world.verdict(await world.organisation({ keyKind: 'Ed25519' })))).toBe('trusted');
    for (const keyKind of ['P-384', 'Ed25519', 'RSA-3072', 'RSA-PSS-3072'] as const) {
      const root = await world.makeRoot(`CN=${keyKind}`, { keyKind });
      const issued = await root.organisation({ host: SERVER, sources: 'crl' });
      const verdict = await world.verdict(issued, { anchors: [root.certificate] });
      expect(outcome(verdict))
        .withContext(`${keyKind} ${textOf(verdict)}`)
        .toBe('trusted');
    }
  });

  it('is accepted whether or not the chain has the root, and with white space around', async () => {
    const chain = [...organisation.chain, world.root.certificate];
    const jws = await world.statement({ ...organisation, chain });
    expect(outcome(await world.judge(jws))).toBe('trusted');
    expect(outcome(await world.judge(`\n${jws}\r\n`))).toBe('trusted');
    // An anchor may be an intermediate.
    expect(outcome(await world.judge(jws, { anchors: [world.intermediate.certificate] }))).toBe('trusted');
  });

  it('is for the host of the server name: any port of it, in any case, and no other name', async () => {
    const issued = await world.organisation({ host: 'Luebeck.Example' });
    for (const serverName of ['luebeck.example', 'luebeck.example:8448', 'LUEBECK.example']) {
      expect(outcome(await world.verdict(issued, { serverName })))
        .withContext(serverName)
        .toBe('trusted');
    }
    for (const serverName of ['hamburg.example', 'x.luebeck.example', 'example', '192.0.2.1', 'no name']) {
      expect(outcome(await world.verdict(issued, { serverName })))
        .withContext(serverName)
        .toBe('wrong-name');
    }
    const verdict = await world.verdict(issued, { serverName: 'hamburg.example' });
    expect(textOf(verdict)).toContain('is for Luebeck.Example, not for hamburg.example.');
  });

  it('is for an address only if the certificate has it as an address', async () => {
    const names = ['192.0.2.7', '2001:db8::7'].map((value) => ({ type: 'ip' as const, value }));
    const issued = await world.organisation({ host: undefined, names });
    for (const serverName of ['192.0.2.7', '192.0.2.7:8448', '[2001:db8::7]', '[2001:0db8:0:0::7]:1']) {
      expect(outcome(await world.verdict(issued, { serverName })))
        .withContext(serverName)
        .toBe('trusted');
    }
    for (const serverName of ['192.0.2.8', '[2001:db8::8]', '[::7]', 'luebeck.example']) {
      expect(outcome(await world.verdict(issued, { serverName })))
        .withContext(serverName)
        .toBe('wrong-name');
    }
    const asName = await world.organisation({ host: '192.0.2.7' });
    expect(outcome(await world.verdict(asName, { serverName: '192.0.2.7' }))).toBe('wrong-name');
  });

  it('is not for the names of a wildcard, or for the common name', async () => {
    const wildcard = await world.organisation({ host: '*.example' });
    expect(outcome(await world.verdict(wildcard))).toBe('wrong-name');
    const named = await world.organisation({ host: 'hamburg.example', subject: `O=Hamburg, CN=${SERVER}` });
    expect(outcome(await world.verdict(named))).toBe('wrong-name');
    const mail = await world.organisation({ host: undefined, names: [{ type: 'email', value: SERVER }] });
    expect(outcome(await world.verdict(mail))).toBe('wrong-name');
  });

  it('must say itself for which server it is, with its port', async () => {
    const jws = await world.statement(organisation, { serverName: `${SERVER}:8448` });
    expect(outcome(await world.judge(jws, { serverName: `${SERVER}:8448` }))).toBe('trusted');
    expect(outcome(await world.judge(jws))).toBe('wrong-name');
    expect(outcome(await world.judge(jws, { serverName: `${SERVER}:8449` }))).toBe('wrong-name');
  });

  it('is refused from an authority that is not trusted, naming who issued it', async () => {
    const other = await world.makeRoot('O=Elsewhere, CN=Root');
    const issued = await other.organisation({ host: SERVER });
    const verdict = await world.verdict(issued);
    expect(outcome(verdict)).toBe('unknown-authority');
    expect(textOf(verdict)).toContain('O=Elsewhere, CN=Root');
    expect(outcome(await world.verdict(organisation, { anchors: [] }))).toBe('unknown-authority');
    // The same name is not the same authority.
    const namesake = await world.makeRoot('O=Hanse, CN=Root');
    const forged = await namesake.organisation({ host: SERVER });
    expect(outcome(await world.verdict(forged))).toBe('unknown-authority');
  });

  it('is refused with a certificate that has expired or is not valid yet, also that of an authority', async () => {
    const { time } = world.clock;
    const expired = await world.organisation({ notAfter: new Date(time - 1000) });
    expect(outcome(await world.verdict(expired))).toBe('expired');
    const future = await world.organisation({ notBefore: new Date(time + HOUR_MS) });
    expect(outcome(await world.verdict(future))).toBe('not-yet-valid');
    const old = await world.root.intermediate('CN=Old', { notAfter: new Date(time - 1000) });
    const below = await old.organisation({ host: SERVER });
    const verdict = await world.verdict(below);
    expect(outcome(verdict)).toBe('expired');
    expect(textOf(verdict)).toContain('CN=Old');
  });

  it('is refused when it has expired, is from the future, or is valid for too long', async () => {
    const { time } = world.clock;
    const judged = async (issuedAt: number, expiresAt: number): Promise<string> =>
      outcome(await world.judge(await world.statement(organisation, { issuedAt, expiresAt })));
    expect(await judged(time - 2 * DAY_MS, time - 1000)).toBe('expired');
    expect(await judged(time + HOUR_MS, time + DAY_MS)).toBe('not-yet-valid');
    expect(await judged(time + 60_000, time + DAY_MS)).toBe('trusted');
    await expectAsync(judged(time, time + 32 * DAY_MS)).toBeRejectedWithError(TrustError);
    const payload = { ...payloadOf(world), exp: Math.floor(time / 1000) + 32 * 24 * 3600 };
    expect(outcome(await world.judge(signed(organisation, {}, payload)))).toBe('malformed');
  });

  it('is refused with weak keys and signatures', async () => {
    const rsa = await world.organisation({ keyKind: 'RSA-2048' });
    const verdict = await world.judge(signed(rsa, { alg: 'RS256' }, payloadOf(world)));
    expect(outcome(verdict)).toBe('malformed');
    expect(outcome(await world.judge(signed(rsa, { alg: 'ES256' }, payloadOf(world))))).toBe('weak-key');
    const long = await world.organisation({ keyKind: 'RSA-3072' });
    expect(outcome(await world.judge(signed(long, { alg: 'ES256' }, payloadOf(world))))).toBe('weak-key');
    const p384 = await world.organisation({ keyKind: 'P-384' });
    expect(outcome(await world.judge(signed(p384, { alg: 'ES256' }, payloadOf(world))))).toBe('weak-key');
    const sha1 = await world.organisation({ hash: 'SHA-1' });
    expect(outcome(await world.verdict(sha1))).toBe('weak-key');
    const weak = await world.root.intermediate('CN=Weak', { keyKind: 'RSA-2048' });
    const below = await weak.organisation({ host: SERVER });
    const ofWeak = await world.verdict(below);
    expect(outcome(ofWeak)).toBe('weak-key');
    expect(textOf(ofWeak)).toMatch(/RSA key of 2048 bits.*3072/);
  });

  it('is refused with a certificate that breaks the profile', async () => {
    const { time } = world.clock;
    const cases: readonly [string, Issued][] = [
      ['wrong-use', await world.organisation({ keyUsage: KeyUsageFlags.keyEncipherment })],
      ['wrong-use', await world.organisation({ keyUsage: null })],
      ['wrong-use', await world.organisation({ keyUsage: KeyUsageFlags.digitalSignature | KeyUsageFlags.keyCertSign })],
      ['wrong-use', await world.organisation({ isAuthority: true })],
      ['wrong-use', await world.organisation({ purposes: ['1.3.6.1.5.5.7.3.4'] })],
      ['trusted', await world.organisation({ purposes: ['1.3.6.1.5.5.7.3.37'] })],
      ['trusted', await world.organisation({ purposes: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'] })],
      ['outside-profile', await world.organisation({ sources: 'none' })],
      ['outside-profile', await world.organisation({ subject: `CN=${SERVER}` })],
      ['outside-profile', await world.organisation({ subject: 'O=One, O=Two' })],
      ['outside-profile', await world.organisation({ subject: 'O=Gna\u202Enrob' })],
      ['outside-profile', await world.organisation({ notAfter: new Date(time + 399 * DAY_MS) })],
      ['trusted', await world.organisation({ notAfter: new Date(time + 397 * DAY_MS) })],
    ];
    for (const [expected, issued] of cases) {
      const verdict = await world.verdict(issued);
      expect(outcome(verdict))
        .withContext(`${expected} ${textOf(verdict)}`)
        .toBe(expected);
    }
  });

  it('is refused when an older one, or another with the same number, comes after it', async () => {
    const verdict = await world.judge(await world.statement(organisation, { number: 7 }));
    if (!verdict.trusted) throw new Error(verdict.text);
    const seen = { number: verdict.number, digest: verdict.digest };
    const judged = async (content: object): Promise<string> =>
      outcome(await world.judge(await world.statement(organisation, { number: 7, ...content }), { seen }));
    expect(await judged({})).toBe('trusted');
    expect(await judged({ number: 8 })).toBe('trusted');
    expect(await judged({ number: 6 })).toBe('replayed');
    expect(await judged({ expiresAt: world.clock.time + 8 * DAY_MS })).toBe('replayed');
    // A renewed certificate may sign the same content again.
    const renewed = await world.organisation();
    expect(outcome(await world.judge(await world.statement(renewed, { number: 7 }), { seen }))).toBe('trusted');
  });

  it('is refused with keys, numbers or dates that are malformed', async () => {
    const good = payloadOf(world);
    const key = encodeBase64(Buffer.alloc(32, 7));
    const bad: readonly object[] = [
      { verify_keys: {} },
      { verify_keys: { 'ed25519:a_1': { key: 'AAAA' } } },
      { verify_keys: { 'ed25519:a_1': key } },
      { verify_keys: { 'rsa:a_1': { key } } },
      { verify_keys: { '__proto__:x': { key } } },
      { verify_keys: [{ key }] },
      { verify_keys: Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`ed25519:k${index}`, { key }])) },
      { number: 0 },
      { number: 1.5 },
      { number: 2 ** 60 },
      { number: '7' },
      { number: undefined },
      { server_name: undefined },
      { server_name: 7 },
      { iat: undefined },
      { exp: 'tomorrow' },
      { exp: 2 ** 52 },
      { iat: good.exp, exp: good.iat },
      { deep: [[[[[[[[[]]]]]]]]] },
    ];
    expect(outcome(await world.judge(signed(organisation, {}, good)))).toBe('trusted');
    for (const change of bad) {
      const verdict = await world.judge(signed(organisation, {}, { ...good, ...change }));
      expect(outcome(verdict)).withContext(JSON.stringify(change)).toBe('malformed');
    }
    const twice = `${JSON.stringify(good).slice(0, -1)},"number":9}`;
    expect(outcome(await world.judge(signed(organisation, {}, twice)))).toBe('malformed');
  });

  it('is refused when its algorithm is not that of the key, or its header plays tricks', async () => {
    const good = payloadOf(world);
    const { privateKey } = organisation;
    const jws = signed(organisation, {}, good);
    const [header = '', payload = '', signature = ''] = jws.split('.');
    const edwards = await world.organisation({ keyKind: 'Ed25519' });
    const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
    const hmac = (text: string): Buffer => createHmac('sha256', spki).update(text).digest();
    const stranger = await world.organisation();
    const tricks: Record<string, string> = {
      none: `${encode({ ...headerOf(organisation), alg: 'none' })}.${payload}.`,
      'none with a signature': `${encode({ ...headerOf(organisation), alg: 'none' })}.${payload}.${signature}`,
      'no signature': `${header}.${payload}.`,
      'HS256 with the public key': signed(organisation, { alg: 'HS256' }, good, hmac),
      'EdDSA for a P-256 key': signed(organisation, { alg: 'EdDSA' }, good),
      'ES256 for an Ed25519 key': signed(edwards, { alg: 'ES256' }, good),
      'ES256 in DER': signed(organisation, {}, good, (text) => sign('sha256', Buffer.from(text), privateKey)),
      'the key of somebody else': signed({ ...organisation, privateKey: stranger.privateKey }, {}, good),
      'the certificate of somebody else': signed({ ...organisation, chain: stranger.chain }, {}, good),
      crit: signed(organisation, { crit: ['exp'], exp: 1 }, good),
      'a detached payload': `${header}..${signature}`,
      b64: signed(organisation, { b64: false, crit: ['b64'] }, good),
      'no certificates': signed(organisation, { x5c: [] }, good),
      'a URL of certificates': signed(organisation, { x5c: undefined, x5u: 'http://192.0.2.1/' }, good),
      'a key in the header': signed(organisation, { x5c: undefined, jwk: spki }, good),
      'another type': signed(organisation, { typ: 'JWT' }, good),
      'certificates that are no text': signed(organisation, { x5c: [7] }, good),
      'certificates that are no base64': signed(organisation, { x5c: ['#'] }, good),
      'certificates that are no certificates': signed(organisation, { x5c: ['AAAA'] }, good),
      'five parts': `${header}.${payload}.${signature}.${signature}.${signature}`,
      'another writing of the same': `${header}.${payload}.${lastBits(signature)}`,
      JSON: JSON.stringify({ protected: header, payload, signature }),
      nothing: '',
      'not JSON': `${Buffer.from('{').toString('base64url')}.${payload}.${signature}`,
      'not UTF-8': `${Buffer.from([0xff]).toString('base64url')}.${payload}.${signature}`,
      'too long': `${header}.${payload}.${signature}${'A'.repeat(MAX_STATEMENT_LENGTH)}`,
    };
    expect(outcome(await world.judge(jws))).toBe('trusted');
    expect(outcome(await world.judge(signed(edwards, { alg: 'Ed25519' }, good)))).toBe('trusted');
    for (const [name, text] of Object.entries(tricks)) {
      expect(outcome(await world.judge(text)))
        .withContext(name)
        .toBe('malformed');
    }
  });

  it('is not made with a key of another certificate, with a weak key, or with content that nobody accepts', async () => {
    const content = {
      serverName: SERVER,
      keys: KEYS,
      number: 1,
      issuedAt: world.clock.time,
      expiresAt: world.clock.time + DAY_MS,
      certificateKey: organisation.privateKey,
      chain: organisation.chain,
    };
    const stranger = await world.organisation();
    const rsa = await world.organisation({ keyKind: 'RSA-3072' });
    for (const change of [
      { certificateKey: stranger.privateKey },
      { certificateKey: rsa.privateKey, chain: rsa.chain },
      { chain: [] },
      { keys: new Map() },
      { keys: new Map([['ed25519:a', 'short']]) },
      { number: 0 },
    ]) {
      expect(await rejection(makeStatement({ ...content, ...change })))
        .withContext(Object.keys(change).join())
        .toBeInstanceOf(TrustError);
    }
  });
});

/** Changes the bits of the last character that stand for nothing. */
function lastBits(base64url: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(base64url.at(-1) ?? 'A');
  return `${base64url.slice(0, -1)}${String(alphabet[last ^ 1])}`;
}

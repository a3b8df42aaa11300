import 'reflect-metadata';
import type { X509Certificate } from 'node:crypto';
import { Extension, KeyUsageFlags } from '@peculiar/x509';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import type {
  Authority,
  CertificateOptions,
  Issued,
  OrganisationOptions,
} from '../../../deploy/authority/authority.ts';
import { makeKeys } from '../../../deploy/authority/keys.ts';
import { anchorFault } from '../../../federation/trust/path.ts';
import { DAY_MS, HOUR_MS, makeWorld, outcome, SERVER, textOf } from './kit.ts';
import type { World } from './kit.ts';
import { OpenSsl } from './openssl.ts';

interface Case {
  readonly name: string;
  readonly issued: Issued;
  readonly anchors: readonly X509Certificate[];
  /** What we say. */
  readonly ours: string;
  /** Whether OpenSSL agrees; where it is more lenient, this says why we are not. */
  readonly openssl: 'agrees' | { readonly accepts: string };
}

describe('Trust by certificate: paths, judged beside openssl verify', () => {
  let world: World;
  let openssl: OpenSsl;

  beforeAll(async () => {
    world = await makeWorld();
    openssl = await OpenSsl.open();
  });

  afterAll(async () => {
    await world.close();
    await openssl.close();
  });

  async function check(cases: readonly Case[]): Promise<void> {
    for (const { name, issued, anchors, ours, openssl: theirs } of cases) {
      const verdict = await world.verdict(issued, { anchors });
      const accepted = await openssl.accepts(issued.chain, anchors, world.clock.time);
      expect(outcome(verdict))
        .withContext(`${name}: ${textOf(verdict)}`)
        .toBe(ours);
      // Never more lenient than OpenSSL, and never stricter without a reason that is written down.
      const expected = theirs === 'agrees' ? ours === 'trusted' : true;
      expect(accepted).withContext(`${name}: OpenSSL`).toBe(expected);
    }
  }

  const at = (offset: number): Date => new Date(world.clock.time + offset);

  /** A chain of authorities below a root, and the certificate that the last one issues. */
  async function chain(
    authorities: readonly CertificateOptions[],
    leaf: OrganisationOptions = {},
    root: CertificateOptions = {},
  ): Promise<{ readonly issued: Issued; readonly anchors: X509Certificate[] }> {
    const top = await world.makeRoot('O=Hanse, CN=Top', root);
    let last: Authority = top;
    for (const [index, options] of authorities.entries()) {
      last = await last.intermediate(`O=Hanse, CN=Authority ${String(index + 1)}`, options);
      world.responder.serve(last);
    }
    return { issued: await last.organisation({ host: SERVER, ...leaf }), anchors: [top.certificate] };
  }

  it('agrees about dates, names, authorities and signatures', async () => {
    const flipped = await chain([{}]);
    const other = await chain([{}]);
    const [leaf, between] = flipped.issued.chain;
    const [, strange] = other.issued.chain;
    if (!leaf || !between || !strange) throw new Error('A certificate is missing.');
    await check([
      { name: 'a root', ...(await chain([])), ours: 'trusted', openssl: 'agrees' },
      { name: 'one between', ...(await chain([{}])), ours: 'trusted', openssl: 'agrees' },
      { name: 'six between', ...(await chain([{}, {}, {}, {}, {}, {}])), ours: 'trusted', openssl: 'agrees' },
      {
        name: 'expired',
        ...(await chain([{}], { notAfter: at(-1000) })),
        ours: 'expired',
        openssl: 'agrees',
      },
      {
        name: 'not valid yet',
        ...(await chain([{}], { notBefore: at(HOUR_MS) })),
        ours: 'not-yet-valid',
        openssl: 'agrees',
      },
      {
        name: 'an authority has expired',
        ...(await chain([{ notAfter: at(-1000) }])),
        ours: 'expired',
        openssl: 'agrees',
      },
      {
        name: 'the root has expired',
        ...(await chain([{}], {}, { notAfter: at(-1000) })),
        ours: 'expired',
        openssl: 'agrees',
      },
      { name: 'another name', ...(await chain([{}], { host: 'x.example' })), ours: 'wrong-name', openssl: 'agrees' },
      {
        name: 'another root',
        issued: (await chain([{}])).issued,
        anchors: other.anchors,
        ours: 'unknown-authority',
        openssl: 'agrees',
      },
      {
        name: 'an authority of the same name with another key',
        issued: { ...flipped.issued, chain: [leaf, strange] },
        anchors: flipped.anchors,
        ours: 'unknown-authority',
        openssl: 'agrees',
      },
      {
        name: 'the authority between is missing',
        issued: { ...flipped.issued, chain: [leaf] },
        anchors: flipped.anchors,
        ours: 'unknown-authority',
        openssl: 'agrees',
      },
      {
        name: 'an anchor that is an intermediate',
        issued: flipped.issued,
        anchors: [between],
        ours: 'trusted',
        openssl: 'agrees',
      },
      {
        name: 'certificates of a chain in another order',
        issued: { ...flipped.issued, chain: [leaf, strange, between] },
        anchors: flipped.anchors,
        ours: 'unknown-authority',
        openssl: { accepts: 'it searches; RFC 7515, 4.1.6, demands the order' },
      },
    ]);
  });

  it('agrees about who may issue: basic constraints, key usage, path length', async () => {
    const notAuthority = { isAuthority: false, keyUsage: KeyUsageFlags.keyCertSign };
    await check([
      { name: 'no authority', ...(await chain([notAuthority])), ours: 'wrong-use', openssl: 'agrees' },
      {
        name: 'an organisation that issues',
        ...(await chain([{ isAuthority: false, keyUsage: KeyUsageFlags.digitalSignature }])),
        // Neither finds an issuer that may be one.
        ours: 'unknown-authority',
        openssl: 'agrees',
      },
      {
        name: 'a key that may not sign certificates',
        ...(await chain([{ keyUsage: KeyUsageFlags.cRLSign }])),
        ours: 'unknown-authority',
        openssl: 'agrees',
      },
      {
        name: 'an authority without key usage',
        ...(await chain([{ keyUsage: null }])),
        ours: 'wrong-use',
        openssl: { accepts: 'RFC 5280, 4.2.1.3, demands it of authorities; it asks for it with -x509_strict' },
      },
      {
        name: 'a root without key usage',
        ...(await chain([{}], {}, { keyUsage: null })),
        ours: 'trusted',
        openssl: 'agrees',
      },
      { name: 'path length 0', ...(await chain([{ pathLength: 0 }])), ours: 'trusted', openssl: 'agrees' },
      { name: 'path length exceeded', ...(await chain([{ pathLength: 0 }, {}])), ours: 'wrong-use', openssl: 'agrees' },
      { name: 'path length 1', ...(await chain([{ pathLength: 1 }, {}])), ours: 'trusted', openssl: 'agrees' },
      {
        name: 'path length of the root exceeded',
        ...(await chain([{}], {}, { pathLength: 0 })),
        ours: 'wrong-use',
        openssl: 'agrees',
      },
      {
        name: 'path length far below',
        ...(await chain([{ pathLength: 2 }, {}, {}, {}])),
        ours: 'wrong-use',
        openssl: 'agrees',
      },
      {
        name: 'the key usage of an organisation',
        ...(await chain([{}], { keyUsage: KeyUsageFlags.keyEncipherment })),
        ours: 'wrong-use',
        openssl: { accepts: 'its profile is that of no purpose' },
      },
    ]);
  });

  it('agrees about critical extensions, and refuses some more', async () => {
    const unknown = (critical: boolean): Extension =>
      new Extension('1.3.6.1.4.1.99999.1', critical, Buffer.from('0500', 'hex'));
    const twice = new Extension('2.5.29.19', true, Buffer.from('30030101ff', 'hex'));
    await check([
      {
        name: 'unknown and critical',
        ...(await chain([{}], { extensions: [unknown(true)] })),
        ours: 'wrong-use',
        openssl: 'agrees',
      },
      {
        name: 'unknown and not critical',
        ...(await chain([{}], { extensions: [unknown(false)] })),
        ours: 'trusted',
        openssl: 'agrees',
      },
      {
        name: 'unknown and critical in an authority',
        ...(await chain([{ extensions: [unknown(true)] }])),
        ours: 'wrong-use',
        openssl: 'agrees',
      },
      {
        name: 'unknown and critical in the root',
        ...(await chain([{}], {}, { extensions: [unknown(true)] })),
        ours: 'wrong-use',
        openssl: 'agrees',
      },
      {
        name: 'an extension that occurs twice',
        ...(await chain([{}], { extensions: [twice] })),
        ours: 'malformed',
        openssl: 'agrees',
      },
    ]);
  });

  it('agrees about name constraints, also of the root and of several authorities', async () => {
    const permit = (...names: string[]): CertificateOptions => ({ extensions: [nameConstraints(names, [])] });
    const exclude = (...names: string[]): CertificateOptions => ({ extensions: [nameConstraints([], names)] });
    const cases: readonly [string, readonly CertificateOptions[], 'trusted' | 'wrong-name', OrganisationOptions?][] = [
      ['permitted', [permit(SERVER)], 'trusted'],
      ['permitted above', [permit('example')], 'trusted'],
      ['permitted below only', [permit(`.${SERVER}`)], 'wrong-name'],
      ['permitted below the one above', [permit('.example')], 'trusted'],
      ['another permitted', [permit('hamburg.example')], 'wrong-name'],
      ['one of two permitted', [permit('hamburg.example', 'LUEBECK.example')], 'trusted'],
      ['the end of a label', [permit('beck.example')], 'wrong-name'],
      ['excluded', [exclude('example')], 'wrong-name'],
      ['another excluded', [exclude('hamburg.example')], 'trusted'],
      ['permitted by one and not by the next', [permit('example'), permit('hamburg.example')], 'wrong-name'],
      ['permitted by the lower one only', [permit('hamburg.example'), permit('example')], 'wrong-name'],
      ['permitted by both', [permit('example'), permit(SERVER)], 'trusted'],
      ['an address is not constrained', [permit('ip:192.0.2.0/255.255.255.0')], 'trusted'],
      [
        'an address outside',
        [permit('ip:192.0.2.0/255.255.255.0', SERVER)],
        'wrong-name',
        {
          names: [
            { type: 'dns', value: SERVER },
            { type: 'ip', value: '198.51.100.1' },
          ],
          host: undefined,
        },
      ],
      [
        'an address inside',
        [permit('ip:192.0.2.0/255.255.255.0', SERVER)],
        'trusted',
        {
          names: [
            { type: 'dns', value: SERVER },
            { type: 'ip', value: '192.0.2.9' },
          ],
          host: undefined,
        },
      ],
      ['a subject inside', [permit('dn:DE')], 'trusted'],
      ['a subject outside', [permit('dn:FR')], 'wrong-name'],
      ['a subject excluded', [exclude('dn:de')], 'wrong-name'],
    ];
    const table: Case[] = [];
    for (const [name, authorities, ours, leaf] of cases) {
      const subjects = authorities.map((options, index) => ({
        subject: `C=DE, O=Hanse, CN=A${String(index)}`,
        ...options,
      }));
      table.push({ name, ...(await chain(subjects, leaf ?? {})), ours, openssl: 'agrees' });
    }
    const ofRoot = await chain([{}], {}, permit('hamburg.example'));
    table.push({ name: 'of the root', ...ofRoot, ours: 'wrong-name', openssl: 'agrees' });
    await check(table);
  });

  it('agrees about policies', async () => {
    const [one, other] = ['1.3.6.1.4.1.99999.10', '1.3.6.1.4.1.99999.11'];
    const any = '2.5.29.32.0';
    const demand = policyConstraints(0);
    const noAny = new Extension('2.5.29.54', true, Buffer.from('020100', 'hex'));
    const cases: readonly [string, readonly CertificateOptions[], Extension[], 'trusted' | 'wrong-use'][] = [
      ['none demanded', [{ extensions: [policies(one)] }], [policies(other)], 'trusted'],
      ['the same demanded', [{ extensions: [policies(one), demand] }], [policies(one)], 'trusted'],
      ['none where one is demanded', [{ extensions: [policies(one), demand] }], [], 'wrong-use'],
      ['another than demanded', [{ extensions: [policies(one), demand] }], [policies(other)], 'wrong-use'],
      ['demanded two above', [{ extensions: [policies(one), policyConstraints(1)] }, {}], [policies(one)], 'wrong-use'],
      ['demanded by the organisation itself', [{}], [demand], 'wrong-use'],
      ['any in an authority', [{ extensions: [policies(any), demand] }], [policies(one)], 'trusted'],
      ['any below, forbidden above', [{ extensions: [policies(one), demand, noAny] }], [policies(any)], 'wrong-use'],
    ];
    const table: Case[] = [];
    for (const [name, authorities, extensions, ours] of cases) {
      table.push({ name, ...(await chain(authorities, { extensions })), ours, openssl: 'agrees' });
    }
    await check(table);
  });

  it('agrees about cross-certificates, and ends in loops', async () => {
    const keysA = await makeKeys('P-256');
    const keysB = await makeKeys('P-256');
    const a = await world.makeRoot('CN=A', { keys: keysA });
    const b = await world.makeRoot('CN=B', { keys: keysB });
    const issued = await a.organisation({ host: SERVER });
    const aByB = await b.issue({ subject: 'CN=A', keys: keysA, isAuthority: true });
    const bByA = await a.issue({ subject: 'CN=B', keys: keysB, isAuthority: true });
    const [leaf] = issued.chain;
    if (!leaf) throw new Error('A certificate is missing.');
    const loop = [leaf, aByB.certificate, bByA.certificate];
    await check([
      { name: 'to the old root', issued, anchors: [a.certificate], ours: 'trusted', openssl: 'agrees' },
      {
        name: 'to another root',
        issued: { ...issued, chain: [leaf, aByB.certificate] },
        anchors: [b.certificate],
        ours: 'trusted',
        openssl: 'agrees',
      },
      {
        name: 'a loop without an anchor',
        issued: { ...issued, chain: loop },
        anchors: [world.root.certificate],
        ours: 'unknown-authority',
        openssl: 'agrees',
      },
      {
        name: 'the same certificate twice',
        issued: { ...issued, chain: [...loop, aByB.certificate] },
        anchors: [a.certificate],
        ours: 'malformed',
        openssl: { accepts: 'it needs none of them' },
      },
      {
        name: 'an expired anchor beside one of the same key that has not',
        issued,
        anchors: [
          (await world.makeRoot('CN=A', { keys: keysA, notAfter: at(-DAY_MS), notBefore: at(-2 * DAY_MS) }))
            .certificate,
          a.certificate,
        ],
        ours: 'trusted',
        openssl: 'agrees',
      },
    ]);
  });

  it('tells an administrator which anchors can be the end of no path', async () => {
    const fault = async (options: CertificateOptions): Promise<string | undefined> =>
      anchorFault((await world.makeRoot('CN=Anchor', options)).certificate, world.clock.time)?.reason;
    expect(await fault({})).toBeUndefined();
    expect(await fault({ notAfter: at(-1000) })).toBe('expired');
    expect(await fault({ keyKind: 'RSA-2048' })).toBe('weak-key');
    expect(await fault({ isAuthority: false, keyUsage: null })).toBe('wrong-use');
    // Its own signature proves nothing.
    expect(await fault({ hash: 'SHA-1' })).toBeUndefined();
  });

  it('agrees about strength, and demands more', async () => {
    await check([
      { name: 'SHA-1', ...(await chain([{}], { hash: 'SHA-1' })), ours: 'weak-key', openssl: 'agrees' },
      { name: 'SHA-1 above', ...(await chain([{ hash: 'SHA-1' }])), ours: 'weak-key', openssl: 'agrees' },
      {
        name: 'RSA of 2048 bits',
        ...(await chain([{ keyKind: 'RSA-2048' }])),
        ours: 'weak-key',
        openssl: { accepts: 'BSI TR-02102-1 demands 3000 bits' },
      },
      { name: 'RSA of 3072 bits', ...(await chain([{ keyKind: 'RSA-3072' }])), ours: 'trusted', openssl: 'agrees' },
      { name: 'RSASSA-PSS', ...(await chain([{ keyKind: 'RSA-PSS-3072' }])), ours: 'trusted', openssl: 'agrees' },
      { name: 'Ed25519', ...(await chain([{ keyKind: 'Ed25519' }])), ours: 'trusted', openssl: 'agrees' },
    ]);
  });
});

function policies(...ids: readonly string[]): Extension {
  const certificatePolicies = ids.map((policyIdentifier) => new pkijs.PolicyInformation({ policyIdentifier }));
  return new Extension('2.5.29.32', true, new pkijs.CertificatePolicies({ certificatePolicies }).toSchema().toBER());
}

/** From how many certificates below on a policy must be valid. */
function policyConstraints(requireExplicitPolicy: number): Extension {
  return new Extension('2.5.29.36', true, Buffer.from([0x30, 0x03, 0x80, 0x01, requireExplicitPolicy]));
}

/** @param permitted DNS names, `ip:address/mask`, or `dn:` and a country */
function nameConstraints(permitted: readonly string[], excluded: readonly string[]): Extension {
  const value = new pkijs.NameConstraints({
    ...(permitted.length > 0 ? { permittedSubtrees: permitted.map(subtree) } : {}),
    ...(excluded.length > 0 ? { excludedSubtrees: excluded.map(subtree) } : {}),
  });
  return new Extension('2.5.29.30', true, value.toSchema().toBER());
}

function subtree(text: string): pkijs.GeneralSubtree {
  if (text.startsWith('ip:')) {
    const octets = text.slice(3).split(/[./]/).map(Number);
    return new pkijs.GeneralSubtree({
      base: new pkijs.GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: Uint8Array.from(octets) }) }),
    });
  }
  if (text.startsWith('dn:')) {
    const country = new pkijs.AttributeTypeAndValue({
      type: '2.5.4.6',
      value: new asn1js.PrintableString({ value: text.slice(3) }),
    });
    const name = new pkijs.RelativeDistinguishedNames({ typesAndValues: [country] });
    return new pkijs.GeneralSubtree({ base: new pkijs.GeneralName({ type: 4, value: name }) });
  }
  return new pkijs.GeneralSubtree({ base: new pkijs.GeneralName({ type: 2, value: text }) });
}

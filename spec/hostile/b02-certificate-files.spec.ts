import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from '../../homeserver/admin/command.ts';
import { chainOf, readCertificateFile } from '../../homeserver/admin/cert/certificates.ts';
import { Random } from '../soak/random.ts';
import { ecKey, openssl, OpensslAuthority, requestFor } from '../trust/openssl.ts';

const PASSWORD = 'open sesame';

describe('A permanent attacker: files of certificates', () => {
  let folder: string;
  const files: Record<string, Buffer> = {};

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hansetag-spec-files-'));
    const authority = await OpensslAuthority.make(folder);
    const key = join(folder, 'own.key');
    await ecKey(key);
    const issued = await authority.issue(await requestFor(key));
    const bundle = await authority.bundle(issued);
    const [der, p7b, p12] = ['own.der', 'chain.p7b', 'own.p12'].map((name) => join(folder, name));
    await openssl('x509', '-in', issued, '-outform', 'DER', '-out', der ?? '');
    await openssl('crl2pkcs7', '-nocrl', '-certfile', bundle, '-outform', 'DER', '-out', p7b ?? '');
    const store = ['-export', '-inkey', key, '-in', issued, '-passout', `pass:${PASSWORD}`, '-out', p12 ?? ''];
    await openssl('pkcs12', ...store);
    for (const [kind, file] of Object.entries({ pem: bundle, der, p7b, p12 })) files[kind] = await readFile(file ?? '');
  });
  afterAll(() => rm(folder, { recursive: true }));

  for (const [kind, count] of Object.entries({ pem: 200, der: 200, p7b: 200, p12: 30 })) {
    it(`that were spoiled (${kind}) are read or refused with a reason, and never anything else`, async () => {
      const random = new Random(20_261_127, kind);
      const whole = files[kind] ?? Buffer.alloc(0);
      const file = join(folder, `spoiled.${kind}`);
      let refused = 0;
      for (let round = 0; round < count; round++) {
        await writeFile(file, spoil(whole, random));
        try {
          const { certificates } = await readCertificateFile(file, () => Promise.resolve(PASSWORD));
          const [own] = certificates;
          if (own) chainOf(own, certificates);
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          expect(error.message).toMatch(/\.$/);
          refused++;
        }
      }
      expect(refused).toBeGreaterThan(0);
    }, 60_000);
  }

  it('with nothing but beginnings are refused, and not looked through once for each', async () => {
    const file = join(folder, 'beginnings.pem');
    const line = '-----BEGIN PRIVATE KEY-----\n';
    await writeFile(file, line.repeat(Math.floor((1024 * 1024) / line.length)));
    // Looking ahead to the end for each of 37,000 would take longer than the spec's own limit.
    await expectAsync(readCertificateFile(file, () => Promise.resolve(PASSWORD))).toBeRejectedWithError(CommandError);
  });
});

/** Changes some bytes, cuts off the end, or repeats a part. */
function spoil(whole: Buffer, random: Random): Buffer {
  const copy = Buffer.from(whole);
  const at = random.whole(0, copy.length - 1);
  const way = random.whole(0, 3);
  if (way === 0) return copy.subarray(0, at);
  if (way === 1) return Buffer.concat([copy.subarray(0, at), copy.subarray(random.whole(0, copy.length - 1))]);
  for (let change = 0; change <= way; change++) copy[random.whole(0, copy.length - 1)] = random.whole(0, 255);
  return copy;
}

import { X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../quickstart/drafts.mjs';
import { lock } from '../quickstart/lock.mjs';
import { Authority } from './authority.ts';
import { privatePem, readKeys } from './keys.ts';
import type { Responder } from './responder.ts';

/** The authority of a demonstration: organisations get their certificates from the intermediate. */
export interface KeptAuthority {
  readonly root: Authority;
  readonly intermediate: Authority;
  /** PEM file of the root, for `HANSETAG_TRUST_ANCHORS`. */
  readonly rootFile: string;
  /** Writes down what is revoked. */
  save(): Promise<void>;
}

const NAME = 'C=DE, O=Hansetag demonstration';

/**
 * The root and the intermediate that are kept in a folder, made if they are not there, and served by the responder. The
 * intermediate is made anew when the responder has another address, because certificates name it.
 *
 * @param folder made if absent; files in it have mode 0600
 */
export async function keepAuthority(folder: string, responder: Responder, now = Date.now): Promise<KeptAuthority> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Two at the same time would each write half of it.
  const unlock = await lock(`${folder}.lock`, () => undefined);
  try {
    const { url } = responder;
    const options = { url, now };
    const root =
      (await read(folder, 'root', { ...options, name: `${NAME}, CN=Root` }, undefined)) ??
      (await Authority.root({ ...options, name: `${NAME}, CN=Root` }));
    const name = `${NAME}, CN=Organisations`;
    const kept = await read(folder, 'intermediate', { ...options, name }, root);
    const intermediate = kept ?? (await root.intermediate(name));
    const save = async (): Promise<void> => {
      await write(folder, 'root', root);
      await write(folder, 'intermediate', intermediate);
    };
    if (kept === undefined) await save();
    responder.serve(root, intermediate);
    return { root, intermediate, rootFile: join(folder, 'root.pem'), save };
  } finally {
    await unlock();
  }
}

interface Revoked {
  readonly crl: Record<string, string>;
  readonly ocsp: Record<string, string>;
}

/** An authority that was written, if it is there and was issued by the one above. */
async function read(
  folder: string,
  name: string,
  options: { readonly url: string; readonly name: string; readonly now: () => number },
  above: Authority | undefined,
): Promise<Authority | undefined> {
  try {
    const file = (end: string): Promise<string> => readFile(join(folder, `${name}${end}`), 'utf8');
    const certificate = new X509Certificate(await file('.pem'));
    const keys = await readKeys(await file('-key.pem'));
    const issuer = above?.certificate ?? certificate;
    if (!certificate.verify(issuer.publicKey) || !certificate.checkPrivateKey(keys.privateKey)) return undefined;
    if (above !== undefined && certificate.infoAccess?.includes(options.url) !== true) return undefined;
    const keyPem = privatePem(keys);
    const chain = above === undefined ? [certificate] : [certificate, ...above.above];
    const chainPem = chain.map(String).join('');
    const { privateKey } = keys;
    const authority = new Authority(options, { certificate, keys, privateKey, keyPem, chain, chainPem });
    const revoked = JSON.parse(await file('-revoked.json')) as Revoked;
    for (const kind of ['crl', 'ocsp'] as const) {
      for (const [serial, at] of Object.entries(revoked[kind])) authority.revoked[kind].set(serial, new Date(at));
    }
    return authority;
  } catch {
    return undefined;
  }
}

async function write(folder: string, name: string, authority: Authority): Promise<void> {
  const revoked = {
    crl: Object.fromEntries(authority.revoked.crl),
    ocsp: Object.fromEntries(authority.revoked.ocsp),
  };
  await writeWhole(join(folder, `${name}-key.pem`), authority.issued.keyPem);
  await writeWhole(join(folder, `${name}-revoked.json`), `${JSON.stringify(revoked)}\n`);
  await writeWhole(join(folder, `${name}.pem`), authority.pem);
}

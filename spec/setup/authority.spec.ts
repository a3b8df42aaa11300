import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keepAuthority } from '../../deploy/authority/kept-authority.ts';
import { Responder } from '../../deploy/authority/responder.ts';
import { readAnchors } from '../../federation/trust/certificate.ts';
import { Revocation } from '../../federation/trust/revocation.ts';
import { checkChain } from '../../federation/trust/statement.ts';
import { askOcsp, fetchCrl } from '../federation/trust/kit.ts';
import { rejection } from '../federation/support.ts';

const SERVER = 'luebeck.localhost:8448';

describe('Trust by certificate: the authority of the demonstration', () => {
  let parent: string;
  let folder: string;
  let responder: Responder;

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'hansetag-pki-'));
    // Its lock is beside it.
    folder = join(parent, 'authority');
    responder = await Responder.start();
  });

  afterEach(async () => {
    await responder.close();
    await rm(parent, { recursive: true, force: true });
  });

  it('is the same after a restart, and remembers what it has revoked', async () => {
    const first = await keepAuthority(folder, responder);
    const [kept, revoked] = await Promise.all([
      first.intermediate.organisation({ host: 'luebeck.localhost' }),
      first.intermediate.organisation({ host: 'luebeck.localhost' }),
    ]);
    first.intermediate.revoke(revoked.certificate);
    await first.save();
    const port = Number(new URL(responder.url).port);
    await responder.close();
    responder = await Responder.start(port);
    const second = await keepAuthority(folder, responder);
    expect(second.root.pem).toBe(first.root.pem);
    expect(second.intermediate.pem).toBe(first.intermediate.pem);
    const anchors = readAnchors(await readFile(second.rootFile, 'utf8'));
    const revocation = new Revocation({ fetchCrl, askOcsp });
    const options = { serverName: SERVER, anchors, now: Date.now(), revocation };
    expect((await checkChain(kept.chain, options)).organisation).toBe('Hansestadt Lübeck');
    expect(await rejection(checkChain(revoked.chain, options))).toEqual(
      jasmine.objectContaining({ reason: 'revoked' }),
    );
  });

  it('has another intermediate when its responder has another address', async () => {
    const first = await keepAuthority(folder, responder);
    const other = await Responder.start();
    try {
      const second = await keepAuthority(folder, other);
      expect(second.root.pem).toBe(first.root.pem);
      expect(second.intermediate.pem).not.toBe(first.intermediate.pem);
      expect(second.intermediate.crlUrl).toContain(other.url);
    } finally {
      await other.close();
    }
  });

  it('lets nobody else read its files', async () => {
    await keepAuthority(folder, responder);
    const names = await readdir(folder);
    expect(names.length).toBe(6);
    for (const name of names) {
      expect((await stat(join(folder, name))).mode & 0o777)
        .withContext(name)
        .toBe(0o600);
    }
  });
});

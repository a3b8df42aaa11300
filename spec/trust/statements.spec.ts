import { Readable } from 'node:stream';
import { FederationError } from '../../federation/client.ts';
import { fetchStatement } from '../../homeserver/engine/trust/statements.ts';

const PEER = 'luebeck.example';

describe('Trust by certificate: what a server answers for its statement', () => {
  const reasonFor = async (open: () => Promise<unknown>): Promise<string | undefined> => {
    const fetched = await fetchStatement({ open } as unknown as Parameters<typeof fetchStatement>[0], PEER);
    return fetched.jws === undefined ? fetched.reason : undefined;
  };
  const refused = (status: number) => () =>
    Promise.reject(new FederationError('REFUSED', PEER, `${PEER} responded with ${String(status)}.`, { status }));

  it('says that there is none by 404 and 410 alone: a proxy that is busy or moved must not end trust', async () => {
    for (const status of [404, 410]) expect(await reasonFor(refused(status))).toBe('no-statement');
    for (const status of [400, 401, 403, 408, 421, 429, 500, 502, 503]) {
      expect(await reasonFor(refused(status)))
        .withContext(String(status))
        .toBe('unreachable');
    }
    for (const status of [204, 301, 302, 307]) {
      const answer = { status, body: Readable.from([]) };
      expect(await reasonFor(() => Promise.resolve(answer)))
        .withContext(String(status))
        .toBe('unreachable');
    }
  });
});

/** Nothing is read of who has proven nothing: neither long bodies nor names that lead to silence cost others their time. */
import { startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';
import { LONG_BODIES } from './kit/dear-inputs.ts';
import { forged as forgedFor, sendLong } from './kit/strangers.ts';
import type { Reply } from './kit/strangers.ts';

const MIB = 1024 * 1024;

describe('A4: a long body without proof of its sender', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let peer: Peer;

  const begin = async (limits: 'on' | 'off'): Promise<void> => {
    federation = await startHomeservers(1, { HANSETAG_RATE_LIMITS: limits });
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
    peer = await Peer.start(federation);
  };
  const end = async (): Promise<void> => {
    await peer.close();
    await federation.close();
  };

  const send = (face: 'client' | 'federation', path: string, body: string, authorization?: string): Promise<Reply> => {
    const proof = authorization === undefined ? {} : { authorization };
    return sendLong({ ...server, tls: federation.tls }, { face, path, body, ...proof });
  };
  const forged = (origin: string): string => forgedFor(origin, server.serverName, peer.key.keyId);

  describe('without limits of rates', () => {
    beforeAll(() => begin('off'));
    afterAll(end);

    it('is not read when the request is not signed, at either port', async () => {
      for (const face of ['client', 'federation'] as const) {
        const { status, sent } = await send(face, '/_matrix/federation/v1/send/1', '1'.repeat(64 * MIB));
        expect(status).toBe(401);
        expect(sent).toBeLessThan(32 * MIB);
      }
    });

    it('is not read when its sender is not known', async () => {
      const { status, errcode } = await send(
        'federation',
        '/_matrix/federation/v1/send/1',
        '1'.repeat(8 * MIB),
        forged('nobody.example'),
      );
      expect([status, errcode]).toEqual([401, 'M_UNAUTHORIZED']);
    });

    it('is not read at the client port of who is not logged in', async () => {
      const { status, errcode } = await send('client', '/_matrix/client/v3/login', `{"a":[${'1,'.repeat(100_000)}1]}`);
      expect([status, errcode]).toEqual([413, 'M_TOO_LARGE']);
      const path = '/_matrix/client/v3/createRoom';
      expect((await send('client', path, `"${'a'.repeat(100_000)}"`, 'Bearer nonsense')).status).toBe(413);
      const clara: TestUser = await server.register('clara');
      expect((await send('client', path, '[]'.repeat(MIB), `Bearer ${clara.token}`)).status).toBe(413);
    });

    for (const [kind, body] of Object.entries(LONG_BODIES)) {
      it(`with a wrong signature in the name of a known server stalls nobody and is refused: ${kind}`, async () => {
        // The server knows the key now.
        expect((await peer.ask(server.serverName, 'GET', 'v1/query/directory?room_alias=%23a:b')).ok).toBeFalse();
        const before = process.memoryUsage().rss;
        const { status, errcode } = await send(
          'federation',
          '/_matrix/federation/v1/send/1',
          body(4 * MIB),
          forged(peer.serverName),
        );
        expect([400, 401]).toContain(status);
        expect(['M_UNAUTHORIZED', 'M_NOT_JSON', 'M_BAD_JSON']).toContain(String(errcode));
        expect(process.memoryUsage().rss - before).toBeLessThan(600 * MIB);
      });
    }
  });

  describe('with limits of rates', () => {
    beforeAll(() => begin('on'));
    afterAll(end);

    it('is not even asked for any more after too many of them, while short requests of known servers go on', async () => {
      const tries: number[] = [];
      for (let count = 0; count < 60 && !tries.includes(429); count += 1) {
        tries.push(
          (await send('federation', '/_matrix/federation/v1/send/1', '1'.repeat(70_000), forged(peer.serverName)))
            .status,
        );
      }
      expect(tries).toContain(429);
      expect(
        (await send('federation', '/_matrix/federation/v1/send/1', '', forged('another-stranger.example'))).status,
      ).toBe(429);
      const directory = await peer.ask(server.serverName, 'GET', 'v1/query/directory?room_alias=%23a:b');
      expect(directory).toEqual(jasmine.objectContaining({ ok: false, errcode: 'M_INVALID_PARAM' }));
      expect((await peer.ask(server.serverName, 'PUT', 'v1/send/7', { pdus: [], edus: [] })).ok).toBeTrue();
    });
  });
});

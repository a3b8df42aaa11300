import type { JsonObject } from '../../federation/json.ts';
import { FederationError } from '../../federation/client.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';
import { Peer } from '../support/peer.ts';

describe('A request for a link', () => {
  let federation: TestFederation;
  let server: TestHomeserver;
  let bert: TestUser;
  let peer: Peer;

  beforeAll(async () => {
    // No media server runs: what is refused here is refused before one would be asked.
    federation = await startHomeservers(1, {
      HANSETAG_SFU_CONTROL: '/nowhere/sfu.sock',
      HANSETAG_SFU_SECRET: 'a secret of enough length',
    });
    const [only] = federation.servers;
    if (!only) throw new Error('There is no server.');
    server = only;
    bert = await server.register('bert');
    peer = await Peer.start(federation);
  });
  afterAll(async () => {
    await peer.close();
    await federation.close();
  });

  const half = (): JsonObject => ({
    port: 40101,
    srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: Buffer.alloc(44).toString('base64') },
    probe_key: Buffer.alloc(32).toString('base64'),
  });
  const room = async (): Promise<string> =>
    String(at(await bert.must('POST', 'client/v3/createRoom', { preset: 'public_chat' }), 'room_id'));

  async function refusal(roomId: string, body: JsonObject, linkId = 'link-1'): Promise<unknown> {
    try {
      await peer.client.request({
        destination: server.serverName,
        method: 'PUT',
        path: `/_hansetag/federation/v1/conference/${encodeURIComponent(roomId)}/link/${linkId}`,
        body,
      });
      return undefined;
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      return { status: error.status, errcode: error.errcode };
    }
  }

  it('is refused for a room that the asking server is not in', async () => {
    expect(await refusal(await room(), half())).toEqual({ status: 403, errcode: 'M_FORBIDDEN' });
  });

  it('is refused for a room that does not exist, in the same words', async () => {
    expect(await refusal('!nowhere', half())).toEqual({ status: 403, errcode: 'M_FORBIDDEN' });
  });

  it('is refused while nobody of the asking server takes part in the conference', async () => {
    const roomId = await room();
    await peer.join(server.serverName, roomId, peer.userId('mallory'));
    expect(await refusal(roomId, half())).toEqual({ status: 403, errcode: 'M_FORBIDDEN' });
  });

  it('is refused when it is malformed or names an address', async () => {
    const roomId = await room();
    const srtp = { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: 'short' };
    for (const body of [{}, { ...half(), port: 0 }, { ...half(), port: '40101' }, { ...half(), srtp }]) {
      expect(await refusal(roomId, body)).toEqual({ status: 400, errcode: 'M_BAD_JSON' });
    }
    const addressed = await refusal(roomId, { ...half(), address: '203.0.113.9' });
    expect(addressed).not.toBeUndefined();
    expect(await refusal(roomId, half(), 'x'.repeat(200))).toEqual({ status: 400, errcode: 'M_INVALID_PARAM' });
  });
});

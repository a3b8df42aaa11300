/** What a link may rely on of the requests to another instance: the real ones and those of the fake network alike. */
import { randomBytes, randomUUID } from 'node:crypto';
import { MAIN_NODE, mainNode, type NodeId } from '../../../homeserver/meetings/conference/link-node.ts';
import type { LinkPeers } from '../../../homeserver/meetings/conference/link-ports.ts';
import type { SourceKey } from '../../../homeserver/meetings/conference/local-participant.ts';
import type { LinkHalf } from '../../../homeserver/meetings/conference/messages.ts';
import type { SfuPort } from '../../../homeserver/meetings/conference/ports.ts';
import { BUILD_TIMEOUT } from '../../sfu/support.ts';

export interface LinkPeersUnderContract {
  readonly peers: LinkPeers;
  /** The instance that is asked. */
  readonly peer: NodeId;
  /** Our media server, which our discovery document names. */
  readonly sfu: SfuPort;
  /** A conference with participants of both. */
  readonly roomId: string;
  /** A source that a participant of the other instance sends. */
  readonly source: SourceKey;
  close(): Promise<void>;
}

const SILENT = mainNode('localhost:1');

export function describeLinkPeers(what: string, open: () => Promise<LinkPeersUnderContract>): void {
  describe(`The contract of requests between links, kept by ${what}:`, () => {
    let under: LinkPeersUnderContract;

    beforeAll(async () => {
      under = await open();
      await under.sfu.request('conference.open', { conferenceId: under.roomId });
    }, BUILD_TIMEOUT);
    afterAll(() => under.close());

    const half = (changes: Partial<LinkHalf> = {}): LinkHalf => ({
      port: under.sfu.hello?.link.minPort ?? 0,
      srtp: { cryptoSuite: 'AEAD_AES_256_GCM', keyBase64: randomBytes(44).toString('base64') },
      probe_key: randomBytes(32).toString('base64'),
      node: MAIN_NODE,
      to_node: MAIN_NODE,
      ...changes,
    });

    /** Opens a link with a half of our media server, as a link does. @returns its id */
    async function link(): Promise<string> {
      const { peers, peer, sfu, roomId } = under;
      const linkId = randomUUID();
      const made = await sfu.request('link.create', { conferenceId: roomId, linkId, peer: peer.server });
      const { port, srtp, probeKey } = made;
      const answer = await peers.open(peer, roomId, linkId, half({ port, srtp, probe_key: probeKey }));
      const { sfu: theirs } = await peers.discovery(peer);
      await sfu.request('link.connect', {
        linkId,
        address: theirs?.address ?? '',
        probePort: theirs?.probe_port ?? 0,
        port: answer.port,
        srtp: answer.srtp,
        probeKey: answer.probe_key,
      });
      return linkId;
    }

    async function refusal(request: Promise<unknown>): Promise<unknown> {
      try {
        await request;
        return 'none';
      } catch (error) {
        return error;
      }
    }
    const refused = async (request: Promise<unknown>, status: number): Promise<void> => {
      const error = await refusal(request);
      expect(error).toEqual(jasmine.objectContaining({ status }));
      expect(under.peers.isSilence(error)).toBeFalse();
      expect(under.peers.isUnknownLink(error)).toBeFalse();
    };
    const unknown = async (request: Promise<unknown>): Promise<void> => {
      const error = await refusal(request);
      expect(under.peers.isUnknownLink(error)).withContext(String(error)).toBeTrue();
      expect(under.peers.isSilence(error)).toBeFalse();
    };

    it('tells where the other media server is', async () => {
      const { server_name: name, sfu } = await under.peers.discovery(under.peer);
      expect(name).toBe(under.peer.server);
      expect(sfu?.min_port).toBeLessThan(sfu?.max_port ?? 0);
      await under.peers.ask(under.peer);
    });

    it('answers a half with one of the same node, within the declared ports', async () => {
      const { peers, peer, roomId } = under;
      const answer = await peers.open(peer, roomId, randomUUID(), half());
      const { sfu } = await peers.discovery(peer);
      expect(answer.port).toBeGreaterThanOrEqual(sfu?.min_port ?? Infinity);
      expect(answer.port).toBeLessThanOrEqual(sfu?.max_port ?? 0);
      expect(answer.node).toBe(MAIN_NODE);
      expect(answer.srtp.cryptoSuite).toBe('AEAD_AES_256_GCM');
    });

    it('gives the sources that are wanted and exist, and none when none is wanted', async () => {
      const { peers, peer, roomId, source } = under;
      const linkId = await link();
      await peers.check(peer, roomId, linkId);
      const offers = await peers.wants(peer, roomId, linkId, [source, source.replace('microphone', 'screen')]);
      expect(offers.map(({ source: name, kind }) => `${name} ${kind}`)).toEqual(['microphone audio']);
      expect(offers[0]?.rtp_parameters.encodings?.length).toBe(1);
      expect(await peers.wants(peer, roomId, linkId, [])).toEqual([]);
      await peers.close(peer, roomId, linkId);
      await unknown(peers.check(peer, roomId, linkId));
    });

    it('knows the older link while a newer one takes its place', async () => {
      const { peers, peer, roomId, source } = under;
      const older = await link();
      await peers.wants(peer, roomId, older, [source]);
      const newer = await link();
      expect((await peers.wants(peer, roomId, older, [source])).length).toBe(1);
      expect((await peers.wants(peer, roomId, newer, [source])).length).toBe(1);
      await peers.close(peer, roomId, newer);
    });

    it('does not know other links, and takes their end', async () => {
      const { peers, peer, roomId, source } = under;
      await unknown(peers.check(peer, roomId, 'another'));
      await unknown(peers.wants(peer, roomId, 'another', [source]));
      await peers.close(peer, roomId, 'another');
    });

    it('refuses a link in a room without participants of both', async () => {
      await refused(under.peers.open(under.peer, '!nowhere', 'x', half()), 403);
    });

    it('refuses a half of another node, or for another one', async () => {
      const { peers, peer, roomId } = under;
      await refused(peers.open(peer, roomId, randomUUID(), half({ node: 'west' })), 400);
      await refused(peers.open(peer, roomId, randomUUID(), half({ to_node: 'west' })), 400);
    });

    it('refuses a port that was not declared', async () => {
      await refused(under.peers.open(under.peer, under.roomId, randomUUID(), half({ port: 1_025 })), 400);
    });

    it('tells silence from a refusal', async () => {
      const { peers, roomId } = under;
      for (const request of [
        peers.open(SILENT, roomId, 'x', half()),
        peers.check(SILENT, roomId, 'x'),
        peers.ask(SILENT),
        peers.discovery(SILENT),
      ]) {
        expect(peers.isSilence(await refusal(request))).toBeTrue();
      }
    });
  });
}

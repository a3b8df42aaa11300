/** How the two halves of a link come to know each other: ours is made on our SFU, the peer tells of its own. */
import { SfuError } from '../../../sfu/client.ts';
import { LinkError } from './link-error.ts';
import type { NodeId } from './link-node.ts';
import type { Hop } from './link-phase.ts';
import type { LinkPeers } from './link-ports.ts';
import type { Discovery, LinkHalf } from './messages.ts';
import type { SfuPort } from './ports.ts';

export interface LinkHandshakeOptions {
  readonly sfu: SfuPort;
  readonly peers: LinkPeers;
  readonly roomId: string;
  readonly own: NodeId;
  readonly peer: NodeId;
  /** What is waited for now, so that a failure is shown where it is. */
  readonly at: (hop: Hop) => void;
}

export class LinkHandshake {
  readonly #options: LinkHandshakeOptions;
  /** What the peer has told of its halves, until our SFU connects to them. */
  readonly #told = new Map<string, { readonly discovery: Discovery; readonly half: LinkHalf }>();

  constructor(options: LinkHandshakeOptions) {
    this.#options = options;
  }

  /**
   * Makes our half, and has the peer make its own.
   * @param isNeeded asked again after each wait
   * @throws LinkError, DiscoveryError, FederationError or SfuError
   */
  async open(linkId: string, isNeeded: () => boolean): Promise<void> {
    const { peers, peer, roomId, at } = this.#options;
    at('media');
    const half = await this.#makeHalf(linkId, isNeeded);
    at('federation');
    const [discovery, answer] = await Promise.all([peers.discovery(peer), peers.open(peer, roomId, linkId, half)]);
    at('media');
    checkNode(answer.node, peer);
    this.#told.set(linkId, { discovery, half: answer });
  }

  /**
   * Makes our half for a link that the peer opens. When that fails there is none.
   * @throws as `open`
   */
  async accept(linkId: string, half: LinkHalf, isNeeded: () => boolean): Promise<LinkHalf> {
    const { peers, peer, own, at } = this.#options;
    at('federation');
    checkNode(half.node, peer);
    checkNode(half.to_node, own);
    const discovery = await peers.discovery(peer);
    at('media');
    checkPort(discovery, half.port);
    const made = await this.#makeHalf(linkId, isNeeded);
    this.#told.set(linkId, { discovery, half });
    return made;
  }

  /** Has our SFU connect to the peer's half, once its address has proven that it takes part. @throws LinkError, SfuError */
  async connect(linkId: string): Promise<void> {
    const told = this.#told.get(linkId);
    this.#told.delete(linkId);
    if (!told) throw new LinkError('unknown-link', 'nothing is known of the half of the peer');
    const { half } = told;
    const { address, probe_port: probePort } = checkPort(told.discovery, half.port);
    const { port, srtp, probe_key: probeKey } = half;
    await this.#options.sfu.request('link.connect', { linkId, address, port, probePort, srtp, probeKey });
  }

  /** Closes our half. Where the SFU can not be reached, this is made good when it is there again. */
  close(linkId: string): void {
    this.#told.delete(linkId);
    this.#options.sfu.request('link.close', { linkId }).catch(() => undefined);
  }

  /** An SFU that was started anew, or that no client has asked for media yet, has no conference so far. */
  async #makeHalf(linkId: string, isNeeded: () => boolean): Promise<LinkHalf> {
    const { sfu, roomId, own, peer } = this.#options;
    // Of a conference that has ended meanwhile nobody would ever take it away again.
    checkNeeded(isNeeded);
    await sfu.request('conference.open', { conferenceId: roomId });
    checkNeeded(isNeeded);
    try {
      const { port, srtp, probeKey } = await sfu.request('link.create', {
        conferenceId: roomId,
        linkId,
        peer: peer.server,
      });
      checkNeeded(isNeeded);
      return { port, srtp, probe_key: probeKey, node: own.node, to_node: peer.node };
    } catch (error) {
      // It may have been made although the answer was lost. A conflict is about another link, perhaps of somebody else.
      if (!(error instanceof SfuError && error.code === 'conflict')) this.close(linkId);
      throw error;
    }
  }
}

function checkNeeded(isNeeded: () => boolean): void {
  if (!isNeeded()) throw new LinkError('closed', 'the link is not needed any more');
}

/** @throws LinkError bad-node */
function checkNode(node: string, expected: NodeId): void {
  if (node !== expected.node) throw new LinkError('bad-node', 'there is no such SFU node');
}

/**
 * The SFU that a discovery document names, if the port is one that the organisation has declared.
 * @throws LinkError bad-address
 */
function checkPort(discovery: Discovery, port: number): NonNullable<Discovery['sfu']> {
  const { sfu } = discovery;
  if (!sfu) throw new LinkError('bad-address', 'the organisation declares no SFU');
  if (port < sfu.min_port || port > sfu.max_port) {
    throw new LinkError('bad-address', 'the port is outside the range that the organisation declares');
  }
  return sfu;
}

/** Our halves of a link, on our SFU. */
import type { SfuResult } from '../../../sfu/protocol.ts';
import { LinkError } from './link-error.ts';
import type { Discovery, LinkHalf } from './messages.ts';
import type { SfuPort } from './ports.ts';

export class LinkHalves {
  readonly #sfu: SfuPort;
  readonly #conferenceId: string;
  readonly #peer: string;

  constructor(sfu: SfuPort, conferenceId: string, peer: string) {
    this.#sfu = sfu;
    this.#conferenceId = conferenceId;
    this.#peer = peer;
  }

  /**
   * Makes a half. An SFU that was started anew, or that no client has asked for media yet, has no conference so far.
   *
   * @param isNeeded asked once more before the half is made
   * @throws LinkError closed, SfuError
   */
  async create(linkId: string, isNeeded: () => boolean): Promise<SfuResult<'link.create'>> {
    await this.#sfu.request('conference.open', { conferenceId: this.#conferenceId });
    if (!isNeeded()) throw new LinkError('closed', 'the link is not needed any more');
    return this.#sfu.request('link.create', { conferenceId: this.#conferenceId, linkId, peer: this.#peer });
  }

  /** Connects our half to that of the peer. @throws LinkError bad-address, SfuError */
  async connect(linkId: string, discovery: Discovery, half: LinkHalf): Promise<void> {
    const sfu = checkPort(discovery, half.port);
    await this.#sfu.request('link.connect', {
      linkId,
      address: sfu.address,
      port: half.port,
      probePort: sfu.probe_port,
      srtp: half.srtp,
      probeKey: half.probe_key,
    });
  }

  /** Where the SFU can not be reached, this is made good when it is there again. */
  close(linkId: string): void {
    this.#sfu.request('link.close', { linkId }).catch(() => undefined);
  }
}

/**
 * The SFU that a discovery document names, if the port is one that the organisation has declared.
 * @throws LinkError bad-address
 */
export function checkPort(discovery: Discovery, port: number): NonNullable<Discovery['sfu']> {
  const { sfu } = discovery;
  if (!sfu) throw new LinkError('bad-address', 'the organisation declares no SFU');
  if (port < sfu.min_port || port > sfu.max_port) {
    throw new LinkError('bad-address', 'the port is outside the range that the organisation declares');
  }
  return sfu;
}

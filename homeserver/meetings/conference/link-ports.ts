/** What a link needs of others: requests to the other instance, the conference that it is in, and the SFU. */
import type { Logger } from 'pino';
import type { LinkState } from '../../../protocol/session.ts';
import type { Clock } from '../../base/clock.ts';
import type { NodeId } from './link-node.ts';
import type { SourceKey } from './local-participant.ts';
import type { Discovery, LinkHalf, Offer, RemoteSource } from './messages.ts';
import type { SfuPort } from './ports.ts';
import type { Reachability } from './reachability.ts';

/** The requests that a link makes to the other instance. */
export interface LinkPeers {
  discovery(peer: NodeId): Promise<Discovery>;
  forgetDiscovery(peer: NodeId): void;
  /** Asks the instance for something small, past all caches. */
  ask(peer: NodeId): Promise<void>;
  open(peer: NodeId, roomId: string, linkId: string, half: LinkHalf): Promise<LinkHalf>;
  check(peer: NodeId, roomId: string, linkId: string): Promise<void>;
  wants(peer: NodeId, roomId: string, linkId: string, keys: SourceKey[]): Promise<Offer[]>;
  close(peer: NodeId, roomId: string, linkId: string): Promise<void>;
  /** Asks the side that opens links to do so. */
  askToOpen(peer: NodeId, roomId: string): void;
  /** True when the failure says that the other side does not know the link (any more). */
  isUnknownLink(error: unknown): boolean;
  /** True when the failure says that the other homeserver was not reached, or did not answer. */
  isSilence(error: unknown): boolean;
}

/** The conference, as its links see it. */
export interface LinkConference {
  readonly roomId: string;
  readonly log: Logger;
  notifyAll(name: 'link.changed', data: LinkState): void;
  /** A source of our own participants. */
  localSource(key: SourceKey): { readonly producerId: string; readonly paused: boolean } | undefined;
  /** A source of another organisation, as that organisation describes it; undefined for one that is refused. */
  remoteSource(key: SourceKey): RemoteSource | undefined;
  /** Whether a source is not taken from the other organisation, whatever that says of it. */
  refuses(key: SourceKey): boolean;
  /**
   * A link has (or no longer has) a source of another organisation.
   * @returns a promise that resolves when whoever receives it does so from this producer, and never rejects
   */
  setReceived(key: SourceKey, producerId: string | undefined): Promise<void>;
}

export interface LinkDeps {
  serverName: string;
  sfu: SfuPort;
  peers: LinkPeers;
  /** The time; that of the system where none is given. */
  clock?: Clock;
  reachability: Pick<Reachability, 'heard' | 'failed'>;
}

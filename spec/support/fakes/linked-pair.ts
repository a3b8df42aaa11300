/** Two instances with a link between them, without rooms and clients: the links are real, what is around them is given. */
import { pino } from 'pino';
import type { LinkState } from '../../../protocol/session.ts';
import type { Clock } from '../../../homeserver/base/clock.ts';
import { Link } from '../../../homeserver/meetings/conference/link.ts';
import type { LinkConference } from '../../../homeserver/meetings/conference/link-ports.ts';
import type { SourceKey } from '../../../homeserver/meetings/conference/local-participant.ts';
import type { Discovery, RemoteSource } from '../../../homeserver/meetings/conference/messages.ts';
import type { SfuPort } from '../../../homeserver/meetings/conference/ports.ts';
import { FakeNetwork } from './link-peers.ts';

export const ROOM = '!linked:hamburg.example';
/** The side that opens links, and the side that waits. */
export const OPENS = 'hamburg.example';
export const WAITS = 'luebeck.example';

const silent = pino({ level: 'silent' });

/** The conference as its links see it. */
export class FakeLinkConference implements LinkConference {
  readonly roomId = ROOM;
  readonly log = silent;
  readonly states: LinkState[] = [];
  /** What our own participants send, and what the others say that theirs do. */
  readonly sent = new Map<SourceKey, { producerId: string; paused: boolean }>();
  readonly said = new Map<SourceKey, RemoteSource>();
  /** What our participants receive each source from, and all that it ever was. */
  readonly received = new Map<SourceKey, string>();
  readonly history: { readonly key: SourceKey; readonly producerId: string | undefined }[] = [];
  /** Brings those who receive a source to another producer of it. */
  changeOver: (key: SourceKey, producerId: string | undefined) => Promise<void> = () => Promise.resolve();

  notifyAll(_name: 'link.changed', state: LinkState): void {
    this.states.push(state);
  }

  localSource(key: SourceKey): { producerId: string; paused: boolean } | undefined {
    return this.sent.get(key);
  }

  remoteSource(key: SourceKey): RemoteSource | undefined {
    return this.said.get(key);
  }

  refuses(): boolean {
    return false;
  }

  setReceived(key: SourceKey, producerId: string | undefined): Promise<void> {
    if (producerId === undefined) this.received.delete(key);
    else this.received.set(key, producerId);
    this.history.push({ key, producerId });
    return this.changeOver(key, producerId);
  }
}

export interface LinkedSide {
  readonly server: string;
  readonly sfu: SfuPort;
  readonly conference: FakeLinkConference;
  readonly link: Link;
}

export class LinkedPair {
  readonly network: FakeNetwork;
  readonly opens: LinkedSide;
  readonly waits: LinkedSide;

  /** @param sfus of the side that opens links and of the other one */
  constructor(clock: Clock, sfus: readonly [SfuPort, SfuPort]) {
    this.network = new FakeNetwork(clock);
    this.opens = this.#side(clock, sfus[0], OPENS, WAITS);
    this.waits = this.#side(clock, sfus[1], WAITS, OPENS);
  }

  #side(clock: Clock, sfu: SfuPort, server: string, peer: string): LinkedSide {
    const conference = new FakeLinkConference();
    const peers = this.network.add(server, {
      discovery: () => discoveryOf(server, sfu),
      link: (roomId, from) => (roomId === ROOM && from === peer ? link : undefined),
    });
    const reachability = { heard: () => undefined, failed: () => undefined };
    const link = new Link(conference, peer, { serverName: server, sfu, peers, clock, reachability });
    sfu.on('link.state', ({ linkId, state, roundTripMs, loss }) => link.probed(linkId, state, roundTripMs, loss));
    return { server, sfu, conference, link };
  }

  /** Somebody of a side sends a source that somebody of the other side receives. */
  publish(from: LinkedSide, key: SourceKey, producerId: string): void {
    const to = from === this.opens ? this.waits : this.opens;
    from.conference.sent.set(key, { producerId, paused: false });
    to.conference.said.set(key, {
      source: key.endsWith('microphone') ? 'microphone' : 'camera',
      id: producerId,
      paused: false,
    });
    to.link.want(key);
  }

  close(): void {
    this.opens.link.close();
    this.waits.link.close();
  }
}

export function discoveryOf(server: string, sfu: SfuPort): Discovery {
  const { address = '', minPort = 0, maxPort = 0, probePort = 0 } = sfu.hello?.link ?? {};
  return {
    server_name: server,
    organisation: { display_name: server, colour: '#0b5563' },
    sfu: { address, min_port: minPort, max_port: maxPort, probe_port: probePort },
    issued_ts: 0,
    valid_until_ts: 600_000,
    signatures: {},
  };
}

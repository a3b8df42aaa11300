/** The live conferences of this instance: each is opened with its first seat here, and closed with the last. */
import type { Logger } from 'pino';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Organisations } from '../organisations.ts';
import type { Announcer } from './announcer.ts';
import { Conference } from './conference.ts';
import type { LinkPeers } from './link-ports.ts';
import type { RoomPort, SfuPort } from './ports.ts';
import type { ConferenceModules } from './module-ports.ts';
import type { Reachability } from './reachability.ts';
import { titleOf } from './room-facts.ts';
import type { Seat, SeatMedia } from './seat-media.ts';

export interface RegistryDeps {
  readonly serverName: string;
  readonly rooms: Pick<RoomPort, 'state'>;
  readonly sfu: SfuPort;
  readonly organisations: Organisations;
  readonly peers: LinkPeers;
  readonly reachability: Reachability;
  readonly announcer: Announcer;
  readonly media: SeatMedia;
  readonly modules: ConferenceModules;
  readonly log: Logger;
  /** Brings those in who are in the conference at other organisations, by the state of its room. */
  enterRemotes(conference: Conference, state: ReadonlyMap<string, StoredEvent>): Promise<void>;
  /** The last of our participants has left a conference. */
  onClosed(roomId: string): void;
}

export class Registry {
  readonly #deps: RegistryDeps;
  readonly #conferences = new Map<string, Conference>();

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** By room id. */
  get all(): ReadonlyMap<string, Conference> {
    return this.#conferences;
  }

  get(roomId: string): Conference | undefined {
    return this.#conferences.get(roomId);
  }

  /** All seats of our participants. */
  seats(): Seat[] {
    return [...this.#conferences.values()].flatMap((conference) =>
      conference.seats().map((local) => ({ conference, local })),
    );
  }

  /** The conference of a room; opened where there is none. */
  async open(roomId: string): Promise<Conference> {
    const existing = this.#conferences.get(roomId);
    if (existing) return existing;
    const { serverName, sfu, peers, log, rooms, organisations, reachability, announcer, modules } = this.#deps;
    const state = await rooms.state(roomId);
    const raced = this.#conferences.get(roomId);
    if (raced) return raced;
    const conference = new Conference(roomId, {
      serverName,
      sfu,
      peers,
      reachability,
      modules,
      log: log.child({ roomId }),
      announce: (of, servers, participants) => announcer.announce(of, servers, participants),
      introduce: (of, server) => {
        organisations.info(server).then(
          (organisation) => of.notifyAll('organisation.seen', organisation),
          (error: unknown) => log.warn({ err: error }, 'conference: an organisation was not introduced'),
        );
      },
    });
    this.#conferences.set(roomId, conference);
    conference.title = titleOf(state);
    await modules.refresh(conference);
    await this.#deps.enterRemotes(conference, state);
    announcer.ask(conference, conference.servers(), 'resend');
    return conference;
  }

  /** The media server is told first, on a line that keeps the order: who opens the conference again gets another. */
  closeIfEmpty(conference: Conference): void {
    const { roomId } = conference;
    if (conference.locals.size > 0 || conference.entering.size > 0) return;
    if (this.#conferences.get(roomId) !== conference) return;
    this.#conferences.delete(roomId);
    this.#deps.media.lost(conference);
    this.#deps.sfu.request('conference.close', { conferenceId: roomId }).catch(() => undefined);
    conference.closeLinks();
    this.#deps.modules.closed(conference);
    this.#deps.onClosed(roomId);
  }
}

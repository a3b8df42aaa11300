/**
 * The live conferences of this instance. A conference is open as long as somebody holds it: each seat does from its first
 * moment on, before the conference is even read, so that nobody enters one that is being closed.
 */
import type { Logger } from 'pino';
import type { Clock } from '../../base/clock.ts';
import { unexpected } from '../../base/log.ts';
import type { Organisations } from '../organisations.ts';
import type { Announcer } from './announcer.ts';
import { Conference } from './conference.ts';
import type { LinkPeers } from './link-ports.ts';
import type { ConferenceModules } from './module-ports.ts';
import type { Hold } from './participant-state.ts';
import type { ConferenceWatch, SfuPort } from './ports.ts';
import type { Reachability } from './reachability.ts';
import type { Seat, SeatMedia } from './seat-media.ts';
import type { Silences } from './silences.ts';

export interface RegistryDeps {
  readonly serverName: string;
  readonly sfu: SfuPort;
  readonly organisations: Pick<Organisations, 'info'>;
  readonly peers: LinkPeers;
  readonly reachability: Reachability;
  readonly announcer: Announcer;
  readonly media: Pick<SeatMedia, 'lost'>;
  readonly modules: ConferenceModules;
  readonly silences: Pick<Silences, 'put' | 'of'>;
  readonly watch?: ConferenceWatch;
  readonly clock?: Clock;
  readonly log: Logger;
  /** Reads what people see of the room, and brings those in who are in the conference at other organisations. */
  read(conference: Conference): Promise<void>;
  /** The last of our participants has left a conference. */
  onClosed(conference: Conference): void;
}

/** A conference that somebody holds. */
export interface Held extends Hold {
  readonly conference: Conference;
}

interface Entry {
  readonly conference: Conference;
  readonly opened: Promise<void>;
  holders: number;
}

export class Registry {
  readonly #deps: RegistryDeps;
  readonly #entries = new Map<string, Entry>();

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  /** All that are open, also those that are just being read. */
  get all(): Conference[] {
    return [...this.#entries.values()].map(({ conference }) => conference);
  }

  get(roomId: string): Conference | undefined {
    return this.#entries.get(roomId)?.conference;
  }

  /** All seats of our participants. */
  seats(): Seat[] {
    return this.all.flatMap((conference) => conference.seats().map((local) => ({ conference, local })));
  }

  /**
   * Keeps the conference of a room open until `release`; opened where there is none.
   * @throws what reading its room fails with; it is not held then
   */
  async hold(roomId: string): Promise<Held> {
    const entry = this.#entries.get(roomId) ?? this.#open(roomId);
    entry.holders += 1;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      entry.holders -= 1;
      if (entry.holders === 0) this.#close(entry);
    };
    try {
      await entry.opened;
    } catch (error) {
      release();
      throw error;
    }
    return { conference: entry.conference, release };
  }

  #open(roomId: string): Entry {
    const { serverName, sfu, peers, clock, log, organisations, reachability, announcer, modules, silences, read } =
      this.#deps;
    const conference = new Conference(roomId, {
      serverName,
      sfu,
      peers,
      reachability,
      modules,
      clock,
      log: log.child({ roomId }),
      silenced: (of, participantId, sources) => {
        silences
          .put(of.roomId, participantId, sources)
          .catch(unexpected(log, 'conference: what is not taken was not kept'));
      },
      announce: (of, servers, participants) => announcer.announce(of, servers, participants),
      introduce: (of, server) => {
        organisations.info(server).then(
          (organisation) => of.notifyAll('organisation.seen', organisation),
          (error: unknown) => log.warn({ err: error }, 'conference: an organisation was not introduced'),
        );
      },
    });
    const opened = modules
      .refresh(conference)
      .then(() => silences.of(roomId))
      .then((silenced) => conference.silencedBefore(silenced))
      .then(() => read(conference))
      .then(() => this.#deps.watch?.opened(conference))
      .then(() => announcer.ask(conference, conference.servers(), 'resend'));
    const entry = { conference, opened, holders: 0 };
    this.#entries.set(roomId, entry);
    return entry;
  }

  /** The media server is told first, on a line that keeps the order: who opens the conference again gets another. */
  #close({ conference }: Entry): void {
    const { roomId } = conference;
    this.#deps.watch?.closed(conference);
    this.#entries.delete(roomId);
    this.#deps.media.lost(conference);
    this.#deps.sfu.request('conference.close', { conferenceId: roomId }).catch(() => undefined);
    conference.closeLinks();
    this.#deps.modules.closed(conference);
    this.#deps.onClosed(conference);
  }
}

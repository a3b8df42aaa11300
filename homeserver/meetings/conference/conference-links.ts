/** The links of one conference: one to each other organisation with participants, while we have some. */
import { Link } from './link.ts';
import type { LinkConference, LinkDeps } from './link-ports.ts';
import type { SourceKey } from './local-participant.ts';

export interface ConferenceLinksDeps {
  readonly conference: LinkConference;
  readonly link: LinkDeps;
  /** Whether both sides have participants. */
  isNeeded(server: string): boolean;
  /** What our participants want of an organisation. */
  wantedOf(server: string): Iterable<SourceKey>;
  /** There is a new one. */
  made(server: string): void;
}

export class ConferenceLinks {
  readonly #deps: ConferenceLinksDeps;
  readonly #all = new Map<string, Link>();

  constructor(deps: ConferenceLinksDeps) {
    this.#deps = deps;
  }

  /** By server name. */
  get all(): ReadonlyMap<string, Link> {
    return this.#all;
  }

  /** The link to an organisation that has participants here; made when there is none yet. */
  to(server: string): Link | undefined {
    const { conference, link: deps, isNeeded, wantedOf, made } = this.#deps;
    const existing = this.#all.get(server);
    if (existing) return existing;
    if (!isNeeded(server)) return undefined;
    const link = new Link(conference, server, deps);
    this.#all.set(server, link);
    for (const key of wantedOf(server)) link.want(key);
    made(server);
    return link;
  }

  localSourceGone(key: SourceKey): void {
    for (const link of this.#all.values()) link.localSourceGone(key);
  }

  close(server: string): void {
    const link = this.#all.get(server);
    this.#all.delete(server);
    link?.close();
  }

  closeAll(): void {
    for (const server of [...this.#all.keys()]) this.close(server);
  }
}

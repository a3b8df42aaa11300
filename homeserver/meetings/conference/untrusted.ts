/** Organisations in a room that ours does not trust: their people are in the room and cannot be in its conference. */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import type { UntrustedOrganisation } from '../../../protocol/session.ts';
import type { Trust } from '../../engine/trust/trust.ts';
import type { Organisations } from '../organisations.ts';
import { nameIn } from '../people.ts';
import type { Conference } from './conference.ts';
import type { RoomPort } from './ports.ts';

/** People of one organisation who are named; the others are counted. */
const MAX_NAMED = 50;

export interface UntrustedDeps {
  readonly rooms: Pick<RoomPort, 'joinedServers' | 'state'>;
  readonly trust: Pick<Trust, 'isTrusted' | 'refusal'>;
  readonly organisations: Pick<Organisations, 'info'>;
  readonly log: Logger;
}

/** What clients are told of them. */
export class UntrustedShown {
  readonly #deps: UntrustedDeps;
  readonly #shown = new WeakMap<Conference, readonly UntrustedOrganisation[]>();

  constructor(deps: UntrustedDeps) {
    this.#deps = deps;
  }

  /** As the clients in a conference know it. */
  of(conference: Conference): UntrustedOrganisation[] {
    return [...(this.#shown.get(conference) ?? [])];
  }

  /** Tells them what is new. To be called for one room one after the other. */
  async refresh(conference: Conference): Promise<void> {
    const before = this.of(conference);
    const now = await untrustedIn(this.#deps, conference.roomId);
    if (isDeepStrictEqual(before, now)) return;
    this.#shown.set(conference, now);
    const known = new Set(before.map(({ organisation }) => organisation));
    for (const { organisation } of now) if (!known.has(organisation)) this.#introduce(conference, organisation);
    conference.notifyAll('organisations.untrusted', { organisations: now });
  }

  /** Its discovery document is exempt from trust: people read its name, which it gives itself. */
  #introduce(conference: Conference, server: string): void {
    this.#deps.organisations.info(server).then(
      (organisation) => conference.notifyAll('organisation.seen', organisation),
      (error: unknown) => this.#deps.log.warn({ err: error }, 'conference: an organisation was not introduced'),
    );
  }
}

/** In the order of server names, so that the same comes to the same. */
async function untrustedIn({ rooms, trust }: UntrustedDeps, roomId: string): Promise<UntrustedOrganisation[]> {
  const servers = [...(await rooms.joinedServers(roomId))].filter((server) => !trust.isTrusted(server)).sort();
  const found = servers.flatMap((server): UntrustedOrganisation[] => {
    const refusal = trust.refusal(server);
    // Nothing is said of those of whom nothing is known yet.
    return refusal ? [{ organisation: server, reason: refusal.reason, people: [], count: 0 }] : [];
  });
  if (found.length === 0) return [];
  const byServer = new Map(found.map((one) => [one.organisation, one]));
  for (const { pdu } of (await rooms.state(roomId)).values()) {
    if (pdu.type !== 'm.room.member' || pdu.content['membership'] !== 'join' || pdu.state_key === undefined) continue;
    const organisation = byServer.get(serverOf(pdu.state_key));
    if (!organisation) continue;
    organisation.count += 1;
    if (organisation.people.length < MAX_NAMED) {
      organisation.people.push({ userId: pdu.state_key, displayName: nameIn(pdu, pdu.state_key) });
    }
  }
  return found;
}

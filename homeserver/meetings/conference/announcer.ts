/** What we tell other instances live about conferences: by one lane for each instance and conference. */
import type { Logger } from 'pino';
import type { JsonObject, JsonValue } from '../../../federation/json.ts';
import type { Clock } from '../../base/clock.ts';
import type { Conference } from './conference.ts';
import { type LaneOrder, LiveLane } from './live-lane.ts';
import type { LivePeers } from './live-peers.ts';
import type { LocalParticipant } from './local-participant.ts';

export interface AnnouncerDeps {
  readonly live: Pick<LivePeers, 'say'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** An instance has answered. */
  heard(server: string): void;
}

export class Announcer {
  readonly #deps: AnnouncerDeps;
  /** By room and server. */
  readonly #lanes = new Map<string, LiveLane>();
  #closed = false;

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
  }

  /** Tells what these participants of ours send. The first change goes out at once, those of the next moments together. */
  announce(conference: Conference, servers: Iterable<string>, participants: Iterable<LocalParticipant>): void {
    const changed = [...participants];
    if (changed.length === 0) return;
    for (const server of servers) this.#lane(conference, server)?.announce(changed);
  }

  /** Tells data of a module that is about this very moment: what does not arrive now is lost. */
  tell(conference: Conference, servers: Iterable<string>, { module, data }: { module: string; data: JsonValue }): void {
    for (const server of servers) this.#lane(conference, server)?.tell(module, data);
  }

  /** Asks for the state of all participants (`resend`), or the side that opens the link for a new one (`relink`). */
  ask(conference: Conference, servers: Iterable<string>, what: 'resend' | 'relink'): void {
    for (const server of servers) this.#lane(conference, server)?.ask(what);
  }

  /** @returns whether the instance has taken the order. Never rejects. */
  async order(conference: Conference, server: string, order: LaneOrder): Promise<boolean> {
    return (await this.#lane(conference, server)?.order(order)) ?? false;
  }

  close(): void {
    this.#closed = true;
    for (const lane of this.#lanes.values()) lane.close();
    this.#lanes.clear();
  }

  #lane(conference: Conference, server: string): LiveLane | undefined {
    if (this.#closed) return undefined;
    const key = `${conference.roomId} ${server}`;
    const known = this.#lanes.get(key);
    if (known?.conference === conference) return known;
    known?.close();
    const { live, clock, log, heard } = this.#deps;
    const lane = new LiveLane(conference, server, {
      clock,
      log,
      describe: stateOf,
      async say(...message) {
        const answer = await live.say(...message);
        heard(server);
        return answer;
      },
      ended: () => {
        if (this.#lanes.get(key) === lane) this.#lanes.delete(key);
      },
    });
    this.#lanes.set(key, lane);
    return lane;
  }
}

function stateOf(local: LocalParticipant): JsonObject {
  return {
    user_id: local.userId,
    device_id: local.deviceId,
    sources: [...local.sources].map(([source, { producerId, paused, resumedAt }]) => ({
      source,
      id: producerId,
      paused,
      ...(resumedAt === undefined ? {} : { resumed_ts: resumedAt }),
    })),
    ...(local.presence === 'reconnecting' ? { reconnecting: true } : {}),
    ...(Object.keys(local.signals).length > 0 ? { signals: local.signals } : {}),
  };
}

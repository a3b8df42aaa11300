/**
 * Tells other instances what our participants send. Changes that follow each other fast go out as one message with the
 * newest state: a receiver takes few messages per second (see edu-budget.ts).
 */
import type { JsonObject } from '../../../federation/json.ts';
import { CONFERENCE_EDU } from '../../base/names.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Conference } from './conference.ts';
import type { LocalParticipant } from './local-participant.ts';

/** The shortest time between two messages about a conference to a server, in ms. */
const GAP_MS = 50;
/** Participants in one message. */
const MAX_PARTICIPANTS = 100;

interface Lane {
  readonly conference: Conference;
  readonly server: string;
  readonly waiting: Set<LocalParticipant>;
  timer: NodeJS.Timeout | undefined;
}

export class Announcer {
  readonly #sender: Sender;
  readonly #lanes = new Map<string, Lane>();

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** The first change goes out at once, those of the next moments together after it. */
  announce(conference: Conference, servers: Iterable<string>, participants: Iterable<LocalParticipant>): void {
    const changed = [...participants];
    if (changed.length === 0) return;
    for (const server of servers) {
      const key = `${conference.roomId} ${server}`;
      let lane = this.#lanes.get(key);
      if (lane?.conference !== conference) {
        clearTimeout(lane?.timer);
        lane = { conference, server, waiting: new Set(), timer: undefined };
        this.#lanes.set(key, lane);
      }
      for (const local of changed) lane.waiting.add(local);
      if (!lane.timer) this.#send(key, lane);
    }
  }

  #send(key: string, lane: Lane): void {
    const { conference, server, waiting } = lane;
    const states = [...waiting]
      .filter((local) => conference.locals.get(local.participantId) === local)
      .map((local) => stateOf(local));
    waiting.clear();
    for (let first = 0; first < states.length; first += MAX_PARTICIPANTS) {
      const participants = states.slice(first, first + MAX_PARTICIPANTS);
      this.#sender.edu([server], CONFERENCE_EDU, { room_id: conference.roomId, participants });
    }
    lane.timer = setTimeout(() => {
      lane.timer = undefined;
      if (this.#lanes.get(key) !== lane) return;
      if (waiting.size > 0) this.#send(key, lane);
      else this.#lanes.delete(key);
    }, GAP_MS);
  }

  close(): void {
    for (const { timer } of this.#lanes.values()) clearTimeout(timer);
    this.#lanes.clear();
  }
}

function stateOf(local: LocalParticipant): JsonObject {
  return {
    user_id: local.userId,
    device_id: local.deviceId,
    sources: [...local.sources].map(([source, { producerId, paused }]) => ({ source, id: producerId, paused })),
    ...(local.presence === 'reconnecting' ? { reconnecting: true } : {}),
    ...(Object.keys(local.signals).length > 0 ? { signals: local.signals } : {}),
  };
}

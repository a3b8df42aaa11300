/**
 * The rules of a meeting at our own SFU: what somebody of ours sends although the rules do not let them (any more) is
 * paused, a shared screen ends. It happens in the turn of the seat, so that nothing that is just being published or resumed
 * slips through: that looks at the rules itself after each wait (seat-media.ts).
 */
import { type Restriction, RULE_OF_SOURCE } from '../../../protocol/modules/rules.ts';
import type { Source } from '../../../protocol/media.ts';
import { SETTING } from '../../base/names.ts';
import { serverOf } from '../../../federation/event.ts';
import { unexpected } from '../../base/log.ts';
import type { Logger } from 'pino';
import { nameIn } from '../people.ts';
import type { Conference } from './conference.ts';
import type { ConferenceModules } from './module-ports.ts';
import type { RoomPort } from './ports.ts';
import { maySend, type Seat, type SeatMedia, type StillSeated } from './seat-media.ts';
import type { Seats } from './seats.ts';

export interface RuleEnforcementDeps {
  readonly rooms: Pick<RoomPort, 'stateEvent'>;
  readonly seats: Pick<Seats, 'act'>;
  readonly media: Pick<SeatMedia, 'pauseByOrder' | 'unpublish'>;
  readonly modules: Pick<ConferenceModules, 'rulesChanged'>;
  readonly log: Logger;
}

export class RuleEnforcement {
  readonly #deps: RuleEnforcementDeps;

  constructor(deps: RuleEnforcementDeps) {
    this.#deps = deps;
  }

  /** The rules of a conference were read, or somebody in it has another role. Does not wait for what follows. */
  apply(conference: Conference, isNews: boolean): void {
    const { modules, log } = this.#deps;
    if (!isNews && !Object.values(conference.rules).some((rule) => (rule as Partial<Restriction>).restricted)) return;
    modules.rulesChanged(conference);
    for (const local of conference.locals.values()) {
      for (const source of local.sources.keys()) {
        if (maySend({ conference, local }, source)) continue;
        const seat = { conference, local };
        this.#deps.seats
          .act(seat, (still) => this.#stop(seat, source, still))
          .catch(unexpected(log, 'conference: a source was not stopped by a rule'));
      }
    }
  }

  async #stop(seat: Seat, source: Source, still: StillSeated): Promise<void> {
    const { media } = this.#deps;
    const held = seat.local.sources.get(source);
    const isShare = RULE_OF_SOURCE[source] === 'screen';
    // Meanwhile it may have ended, or the rule.
    if (!held || maySend(seat, source) || (held.paused && !isShare)) return;
    try {
      if (isShare) await media.unpublish(seat, source);
      else await media.pauseByOrder(seat, source, still);
    } finally {
      // Also where the SFU cannot be reached: the client stops by itself.
      const by = await this.#setter(seat.conference.roomId, source);
      seat.local.notifier?.notify('rules.stopped', { source, ...by });
    }
  }

  /** Who has set the rule. */
  async #setter(roomId: string, source: Source): Promise<{ by?: string; organisation?: string }> {
    const { rooms } = this.#deps;
    const setting = await rooms.stateEvent(roomId, SETTING + RULE_OF_SOURCE[source], '');
    if (!setting) return {};
    const { sender } = setting.pdu;
    const member = await rooms.stateEvent(roomId, 'm.room.member', sender);
    return { by: nameIn(member?.pdu, sender), organisation: serverOf(sender) };
  }
}

/** What other instances say of their participants in conferences (EDUs): taken in up to a bound, and answered. */
import type { JsonObject } from '../../../federation/json.ts';
import { CONFERENCE_EDU } from '../../base/names.ts';
import type { Sender } from '../../engine/rooms/ports.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import type { Announcer } from './announcer.ts';
import { EduBudget } from './edu-budget.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import { conferenceEduSchema } from './messages.ts';
import type { Reachability } from './reachability.ts';
import type { Registry } from './registry.ts';

export interface SignalsDeps {
  readonly rooms: Pick<Rooms, 'joinedServers' | 'serverAllowed'>;
  readonly sender: Sender;
  readonly conferences: Pick<Registry, 'get'>;
  readonly reachability: Reachability;
  readonly announcer: Announcer;
}

export class Signals {
  readonly #deps: SignalsDeps;
  readonly #budget = new EduBudget();

  constructor(deps: SignalsDeps) {
    this.#deps = deps;
  }

  /** An EDU of another instance; it may speak for its own people only, in rooms that they are in. */
  async onEdu(origin: string, content: JsonObject): Promise<void> {
    const parsed = conferenceEduSchema.safeParse(content);
    if (!parsed.success) return;
    const edu = parsed.data;
    const { room_id: roomId } = edu;
    const { rooms, sender, conferences, reachability, announcer } = this.#deps;
    const conference = conferences.get(roomId);
    if (!conference) return;
    if (!(await rooms.joinedServers(roomId)).has(origin) || !(await rooms.serverAllowed(roomId, origin))) return;
    reachability.heard(origin);
    if (!this.#budget.mayHandle(origin)) {
      this.#budget.repairLater(origin, roomId, () =>
        sender.edu([origin], CONFERENCE_EDU, { room_id: roomId, resend: true }),
      );
      return;
    }
    // Each is named once: of two states of one participant in one message, neither is the newest.
    const states = new Map(
      (edu.participants ?? []).map((said) => [participantIdOf(said.user_id, said.device_id), said]),
    );
    let changes = 0;
    for (const [participantId, said] of states) {
      if (splitParticipantId(participantId).server !== origin) continue;
      const state = { sources: said.sources, reconnecting: said.reconnecting === true, signals: said.signals ?? {} };
      if (conference.setRemoteState(participantId, state)) changes += 1;
    }
    this.#budget.spend(origin, changes);
    if (edu.resend) announcer.announce(conference, [origin], conference.locals.values());
    if (edu.relink) conference.link(origin)?.reopen();
  }

  close(): void {
    this.#budget.close();
  }
}

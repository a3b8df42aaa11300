/** What other instances say live of their participants in conferences: taken in up to a bound, and answered. */
import type { JsonObject } from '../../../federation/json.ts';
import { withoutAbsent } from '../../../protocol/modules/list.ts';
import type { Rooms } from '../../engine/rooms/rooms.ts';
import { MatrixError } from '../../base/errors.ts';
import type { Announcer } from './announcer.ts';
import type { Conference } from './conference.ts';
import { EduBudget } from './edu-budget.ts';
import { LiveNumbers } from './live-numbers.ts';
import type { LivePeers } from './live-peers.ts';
import { participantIdOf, splitParticipantId } from './membership.ts';
import { conferenceEduSchema, type LiveAnswer, type LiveContent, type LiveMessage } from './messages.ts';
import type { ConferenceModules } from './module-ports.ts';
import type { Orders } from './orders.ts';
import type { Reachability } from './reachability.ts';
import type { Registry } from './registry.ts';
import type { ServerAccess } from './server-access.ts';

export interface SignalsDeps {
  readonly rooms: Pick<Rooms, 'joinedServers'>;
  readonly access: Pick<ServerAccess, 'allowed'>;
  readonly conferences: Pick<Registry, 'get'>;
  readonly reachability: Reachability;
  readonly announcer: Announcer;
  readonly live: Pick<LivePeers, 'speaksLive'>;
  readonly orders: Pick<Orders, 'receive'>;
  readonly modules: ConferenceModules;
}

export class Signals {
  readonly #deps: SignalsDeps;
  readonly #budget = new EduBudget();
  readonly #numbers = new WeakMap<Conference, LiveNumbers>();

  constructor(deps: SignalsDeps) {
    this.#deps = deps;
  }

  /**
   * A message of another instance; it may speak for its own people only. It waits for nothing that goes on in the room.
   * @throws MatrixError 403 for a server that is not in the room, or shut out of it
   */
  async onMessage(origin: string, roomId: string, message: LiveMessage): Promise<LiveAnswer> {
    const { conferences, live, orders } = this.#deps;
    if (!(await this.#isInRoom(origin, roomId))) {
      throw new MatrixError(403, 'M_FORBIDDEN', 'Your server is not in this room.');
    }
    live.speaksLive(origin);
    const conference = conferences.get(roomId);
    const taken = message.orders && { orders: await orders.receive(origin, roomId, conference, message.orders) };
    // Whoever opens it here asks everybody.
    if (!conference || conferences.get(roomId) !== conference) return { ...taken };
    const numbers = this.#numbers.get(conference) ?? new LiveNumbers();
    this.#numbers.set(conference, numbers);
    const order = numbers.orderOf(origin, message);
    const { participants: _old, ...rest } = message;
    const isHandled = this.#handle(origin, conference, order === 'old' ? rest : message);
    if (isHandled && order !== 'old' && message.participants) numbers.handled(origin, message);
    return { ...taken, ...(!isHandled || order === 'gap' ? { resend: true } : {}) };
  }

  /** The same from an instance of an older build, by an EDU. */
  async onEdu(origin: string, content: JsonObject): Promise<void> {
    const parsed = conferenceEduSchema.safeParse(content);
    if (!parsed.success) return;
    const { room_id: roomId, ...said } = parsed.data;
    const { conferences, announcer } = this.#deps;
    const conference = conferences.get(roomId);
    if (!conference || !(await this.#isInRoom(origin, roomId))) return;
    if (this.#handle(origin, conference, said)) return;
    this.#budget.repairLater(origin, roomId, () => {
      if (conferences.get(roomId) === conference) announcer.ask(conference, [origin], 'resend');
    });
  }

  async #isInRoom(origin: string, roomId: string): Promise<boolean> {
    const { rooms, access } = this.#deps;
    return (await rooms.joinedServers(roomId)).has(origin) && (await access.allowed(roomId, origin));
  }

  /** @returns false when the server has told too much lately: nothing of this was handled */
  #handle(origin: string, conference: Conference, said: LiveContent): boolean {
    const { reachability, announcer, modules } = this.#deps;
    reachability.heard(origin);
    if (!this.#budget.mayHandle(origin)) return false;
    // Each is named once: of two states of one participant in one message, neither is the newest.
    const states = new Map((said.participants ?? []).map((one) => [participantIdOf(one.user_id, one.device_id), one]));
    let changes = 0;
    for (const [participantId, one] of states) {
      if (splitParticipantId(participantId).server !== origin) continue;
      const state = {
        sources: one.sources,
        reconnecting: one.reconnecting === true,
        signals: withoutAbsent(one.signals ?? {}),
      };
      if (conference.setRemoteState(participantId, state)) changes += 1;
    }
    this.#budget.spend(origin, changes);
    if (said.modules && conference.servers().has(origin)) modules.told(conference, origin, said.modules);
    if (said.resend) announcer.announce(conference, [origin], conference.locals.values());
    if (said.relink) conference.link(origin)?.reopen();
    return true;
  }

  close(): void {
    this.#budget.close();
  }
}

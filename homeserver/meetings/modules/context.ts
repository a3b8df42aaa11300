/** One conference as one module sees it. */
import type { JsonObject } from '../../../federation/json.ts';
import type { ModuleName, Signals } from '../../../protocol/modules/list.ts';
import type { RestrictionName, Rules } from '../../../protocol/modules/rules.ts';
import type { NotificationData, NotificationName, Participant } from '../../../protocol/session.ts';
import type { ModuleConference } from '../conference/module-ports.ts';
import { allows } from '../rules/reading.ts';
import type { MeetingContext } from './module.ts';

export interface ModuleContextDeps {
  /** Keeps what is new of a place, for a restart of the homeserver. */
  keep(roomId: string, participantId: string): Promise<void>;
  /** Gives an order in the conference of a room. */
  order(
    roomId: string,
    by: string,
    action: string,
    participantIds: readonly string[],
  ): Promise<{ unreached: string[] }>;
  /** Tells the same module of the other instances in a conference. */
  tell(roomId: string, module: ModuleName, data: JsonObject): void;
}

export class ModuleContext implements MeetingContext {
  /** Whether the module is on in this meeting. */
  enabled = true;
  readonly #conference: ModuleConference;
  readonly #module: ModuleName;
  readonly #deps: ModuleContextDeps;
  readonly #timers = new Set<NodeJS.Timeout>();
  #closed = false;

  constructor(conference: ModuleConference, module: ModuleName, deps: ModuleContextDeps) {
    this.#conference = conference;
    this.#module = module;
    this.#deps = deps;
  }

  get roomId(): string {
    return this.#conference.roomId;
  }

  get rules(): Rules {
    return this.#conference.rules;
  }

  allows(rule: RestrictionName, { userId, role }: Pick<Participant, 'userId' | 'role'>): boolean {
    return allows(this.rules, rule, userId, role);
  }

  participants(): Participant[] {
    return this.#conference.participants();
  }

  own(): Participant[] {
    return [...this.#conference.locals.values()].map((local) => this.#conference.describeLocal(local));
  }

  notifyAll<K extends NotificationName>(name: K, data: NotificationData<K>): void {
    this.#conference.notifyAll(name, data);
  }

  notify<K extends NotificationName>(participantId: string, name: K, data: NotificationData<K>): void {
    this.#conference.locals.get(participantId)?.notifier?.notify(name, data);
  }

  async setSignals(participantId: string, change: Signals): Promise<void> {
    const conference = this.#conference;
    const local = conference.locals.get(participantId);
    if (!local || !conference.setSignals(local, change)) return;
    await this.#deps.keep(this.roomId, participantId);
  }

  order(by: string, action: string, participantIds: readonly string[]): Promise<{ unreached: string[] }> {
    return this.#deps.order(this.roomId, by, action, participantIds);
  }

  tell(data: JsonObject): void {
    if (!this.#closed) this.#deps.tell(this.roomId, this.#module, data);
  }

  later(ms: number, task: () => void): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  /** The conference has ended. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

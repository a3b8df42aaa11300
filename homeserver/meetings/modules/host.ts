/** Runs the modules: gives each its view of a conference, and tells it what concerns it. */
import type { Logger } from 'pino';
import * as z from 'zod';
import { serverOf } from '../../../federation/event.ts';
import type { ModuleName, Signals, Snapshots } from '../../../protocol/modules/list.ts';
import { restrictionNameSchema } from '../../../protocol/modules/rules.ts';
import type { Participant } from '../../../protocol/session.ts';
import { MatrixError } from '../../base/errors.ts';
import { SETTING } from '../../base/names.ts';
import { Serial } from '../../base/serial.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import type { ConferenceModules, ModuleConference } from '../conference/module-ports.ts';
import type { Orders } from '../conference/orders.ts';
import type { RemoteParticipant } from '../conference/remotes.ts';
import type { Rights } from '../rights.ts';
import type { MeetingRules } from '../rules/meeting-rules.ts';
import { allows } from '../rules/reading.ts';
import { ModuleContext, type ModuleContextDeps } from './context.ts';
import type { MeetingModules } from './list.ts';
import type { MeetingModule, Viewer } from './module.ts';

/** Content of `org.hansetag.setting.<name>`; what is not readable switches nothing off. */
const settingSchema = z.object({ enabled: z.boolean().catch(true) }).catch({ enabled: true });

export interface ModuleHostDeps extends ModuleContextDeps {
  readonly modules: MeetingModules;
  readonly rooms: Pick<Rooms, 'stateEvent'>;
  readonly rights: Pick<Rights, 'require'>;
  readonly rules: Pick<MeetingRules, 'turnSwitch'>;
  /** How far the clock of a server is ahead of ours, in ms. */
  clockAhead(server: string): number;
  /** The live conference of a room, if there is one. */
  conference(roomId: string): ModuleConference | undefined;
  readonly log: Logger;
}

export class ModuleHost implements ConferenceModules {
  readonly #deps: ModuleHostDeps;
  readonly #all: readonly (readonly [ModuleName, MeetingModule])[];
  readonly #contexts = new WeakMap<ModuleConference, ReadonlyMap<ModuleName, ModuleContext>>();
  /** The switches of one room are read one after the other, so that what was read last holds. */
  readonly #reading = new Serial();

  constructor(deps: ModuleHostDeps) {
    this.#deps = deps;
    this.#all = Object.entries(deps.modules) as [ModuleName, MeetingModule][];
  }

  /** Each module with its name. */
  get all(): readonly (readonly [ModuleName, MeetingModule])[] {
    return this.#all;
  }

  /** Says what the orders of modules do. */
  takeOrders(orders: Pick<Orders, 'on'>): void {
    for (const [name, module] of this.#all) {
      for (const [action, { apply, ...kind }] of Object.entries(module.orders ?? {})) {
        orders.on(action, {
          ...kind,
          apply: (conference, { participantId }, by) => apply(this.context(conference, name), participantId, by),
        });
      }
    }
  }

  context(conference: ModuleConference, name: ModuleName): ModuleContext {
    const known = this.#contexts.get(conference)?.get(name);
    if (known) return known;
    const made = new Map(this.#all.map(([each]) => [each, new ModuleContext(conference, each, this.#deps)]));
    this.#contexts.set(conference, made);
    return this.context(conference, name);
  }

  /** The context of a module that is on. @throws MatrixError 403 for one that is switched off */
  requireOn(conference: ModuleConference, name: ModuleName): ModuleContext {
    const context = this.context(conference, name);
    if (!context.enabled) throw new MatrixError(403, 'M_FORBIDDEN', 'This is switched off in this meeting.');
    return context;
  }

  /** @throws MatrixError 403 when the rule of the meeting with the module's name does not let somebody use it */
  requirePermitted(conference: ModuleConference, name: ModuleName, who: Pick<Participant, 'userId' | 'role'>): void {
    if (this.#mayUse(conference, name, who)) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'The rules of this meeting do not let you do that.');
  }

  #mayUse({ rules }: ModuleConference, name: ModuleName, who: Pick<Participant, 'userId' | 'role'>): boolean {
    const rule = restrictionNameSchema.safeParse(name).data;
    return rule === undefined || allows(rules, rule, who.userId, who.role);
  }

  rulesChanged(conference: ModuleConference): void {
    conference.remoteSignalsChanged();
    for (const [, module, context] of this.#on(conference)) {
      this.#inBackground(conference.roomId, async () => module.ruled?.(context));
    }
  }

  /** Turns the switch of a module. @throws MatrixError 403 without the right, 404 for one that has no switch */
  async turnSwitch(conference: ModuleConference, name: ModuleName, userId: string, enabled: boolean): Promise<void> {
    const { modules, rights, rules } = this.#deps;
    const { roomId } = conference;
    const { switchedBy } = modules[name];
    if (!switchedBy) throw new MatrixError(404, 'M_NOT_FOUND', 'This cannot be switched off.');
    await rights.require(roomId, userId, switchedBy);
    await rules.turnSwitch(roomId, userId, name, enabled);
    await this.refresh(conference);
  }

  /** Something was stored in a room. @param live whether it is new, and not of a part of the history that was missing */
  onEvent(event: StoredEvent, live: boolean): void {
    const conference = this.#deps.conference(event.roomId);
    if (!conference) return;
    const { type } = event.pdu;
    // A redaction may give back what a switch was before it was turned.
    if (type.startsWith(SETTING) || type === 'm.room.redaction') {
      this.#inBackground(conference.roomId, () => this.refresh(conference));
    }
    if (!live) return;
    for (const [name, module] of this.#all) {
      if (!module.eventTypes?.includes(type)) continue;
      this.#inBackground(conference.roomId, async () => module.onEvent?.(this.context(conference, name), event));
    }
  }

  async refresh(conference: ModuleConference): Promise<void> {
    const { rooms } = this.#deps;
    const { roomId } = conference;
    await this.#reading.run(roomId, async () => {
      for (const [name, module] of this.#all) {
        if (!module.switchedBy) continue;
        const setting = await rooms.stateEvent(roomId, SETTING + name, '');
        const { enabled } = settingSchema.parse(setting?.pdu.content);
        const context = this.context(conference, name);
        if (context.enabled === enabled) continue;
        context.enabled = enabled;
        conference.remoteSignalsChanged();
        await module.switched?.(context, enabled);
      }
    });
  }

  shown(conference: ModuleConference, { membership, person, said }: RemoteParticipant): Signals {
    const { signals, heardAt } = said;
    const { joinedAt, userId } = membership;
    const clockAhead = this.#deps.clockAhead(serverOf(userId));
    const { role } = person;
    const read = this.#on(conference)
      .filter(([name]) => this.#mayUse(conference, name, { userId, role }))
      .map(([, module]) => module.signals?.({ signals, heardAt, clockAhead, joinedAt }));
    return Object.assign({}, ...read) as Signals;
  }

  snapshots(conference: ModuleConference, viewer: Viewer): Snapshots {
    const parts = this.#on(conference).map(
      ([name, module, context]) => [name, module.snapshot?.(context, viewer)] as const,
    );
    return Object.fromEntries(parts.filter(([, part]) => part !== undefined));
  }

  peopleChanged(conference: ModuleConference): void {
    for (const [name, module] of this.#all) module.peopleChanged?.(this.context(conference, name));
  }

  left(conference: ModuleConference, participantId: string): void {
    for (const [name, module] of this.#all) module.left?.(this.context(conference, name), participantId);
  }

  told(conference: ModuleConference, server: string, data: Readonly<Record<string, unknown>>): void {
    for (const [name, module, context] of this.#on(conference)) {
      if (Object.hasOwn(data, name)) module.onTold?.(context, server, data[name]);
    }
  }

  closed(conference: ModuleConference): void {
    for (const context of this.#contexts.get(conference)?.values() ?? []) context.close();
    this.#contexts.delete(conference);
  }

  /** The modules that are on in a conference. */
  #on(conference: ModuleConference): (readonly [ModuleName, MeetingModule, ModuleContext])[] {
    return this.#all
      .map(([name, module]) => [name, module, this.context(conference, name)] as const)
      .filter(([, , { enabled }]) => enabled);
  }

  #inBackground(roomId: string, task: () => Promise<void>): void {
    task().catch((error: unknown) => this.#deps.log.warn({ err: error, roomId }, 'a module did not take in an event'));
  }
}

/** What the modules add to the power levels of a new meeting, by event type. */
export function modulePowerLevels(modules: MeetingModules): Record<string, number> {
  return Object.assign({}, ...Object.values(modules).map(({ powerLevels }) => powerLevels ?? {})) as Record<
    string,
    number
  >;
}

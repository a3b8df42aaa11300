/** The rules of meetings, read from and written into the state of their rooms. What the room resolves to holds. */
import type { JsonObject } from '../../../federation/json.ts';
import { type RestrictionName, type RuleName, ruleNameSchema, type Rules } from '../../../protocol/modules/rules.ts';
import { SETTING } from '../../base/names.ts';
import { Serial } from '../../base/serial.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import type { Rights } from '../rights.ts';
import { isExempt, readRule, ruleOfType, rulesBy, writeRule } from './reading.ts';

export interface MeetingRulesDeps {
  readonly rooms: Pick<Rooms, 'stateEvent' | 'send' | 'onEvent' | 'redactedBy'>;
  readonly rights: Pick<Rights, 'require' | 'roleOf'>;
  /** Called with what a listener or the reading of an event failed with. */
  failed(error: unknown): void;
}

/** A rule of a room may be another one now. */
export type RulesListener = (roomId: string, rule: RuleName) => void;

export class MeetingRules {
  readonly #deps: MeetingRulesDeps;
  readonly #listeners = new Set<RulesListener>();
  /** One setting of a room is written after the other: each keeps what it does not change. */
  readonly #writing = new Serial();

  constructor(deps: MeetingRulesDeps) {
    this.#deps = deps;
  }

  /** Listens to rooms. @returns a function that ends that */
  start(): () => void {
    return this.#deps.rooms.onEvent((event) => {
      this.#onEvent(event).catch((error: unknown) => {
        this.#deps.failed(error);
      });
    });
  }

  /** All rules of a meeting now; of a room that we do not have, that nothing is restricted. */
  async of(roomId: string): Promise<Rules> {
    const names = ruleNameSchema.options;
    const contents = await Promise.all(names.map((name) => this.#content(roomId, name)));
    return rulesBy((name) => readRule(name, contents[names.indexOf(name)]));
  }

  /** One rule of a meeting now. */
  async rule<N extends RuleName>(roomId: string, name: N): Promise<Rules[N]> {
    return readRule(name, await this.#content(roomId, name));
  }

  /** Whether somebody may do now what a rule restricts, whichever organisation they are of. */
  async allows(roomId: string, userId: string, rule: RestrictionName): Promise<boolean> {
    const { restricted, allow } = await this.rule(roomId, rule);
    return !restricted || allow.includes(userId) || isExempt(await this.#deps.rights.roleOf(roomId, userId));
  }

  /**
   * Sets a rule, as somebody of ours.
   *
   * @throws MatrixError 403 without the right `set-rules`, 413 for a list that no event can hold
   */
  async set<N extends RuleName>(roomId: string, userId: string, name: N, value: Rules[N]): Promise<void> {
    await this.#deps.rights.require(roomId, userId, 'set-rules');
    // Hands and reactions have a switch besides their rule.
    await this.#write(roomId, userId, name, ({ enabled }) => ({
      ...(typeof enabled === 'boolean' ? { enabled } : {}),
      ...writeRule(name, value),
    }));
  }

  /**
   * Turns the switch of a module, and keeps the rule of the same name.
   *
   * @throws MatrixError 403 when the room forbids it
   */
  async turnSwitch(roomId: string, userId: string, name: string, enabled: boolean): Promise<void> {
    const rule = ruleOfType(SETTING + name);
    await this.#write(roomId, userId, name, (before) => ({
      ...(rule !== undefined && 'restricted' in before ? writeRule(rule, readRule(rule, before)) : {}),
      enabled,
    }));
  }

  async #write(
    roomId: string,
    userId: string,
    name: string,
    change: (before: JsonObject) => JsonObject,
  ): Promise<void> {
    const type = SETTING + name;
    await this.#writing.run(`${roomId} ${name}`, async () => {
      const content = change((await this.#content(roomId, name)) ?? {});
      await this.#deps.rooms.send(roomId, userId, { type, stateKey: '', content });
    });
  }

  /** @returns a function that ends the listening */
  onChanged(listener: RulesListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #content(roomId: string, name: string): Promise<JsonObject | undefined> {
    return (await this.#deps.rooms.stateEvent(roomId, SETTING + name, ''))?.pdu.content;
  }

  async #onEvent(event: StoredEvent): Promise<void> {
    // What is redacted restricts nothing any more.
    const said = event.pdu.type === 'm.room.redaction' ? await this.#deps.rooms.redactedBy(event) : event;
    const rule = said?.pdu.state_key === '' ? ruleOfType(said.pdu.type) : undefined;
    if (rule === undefined) return;
    for (const listener of this.#listeners) {
      try {
        listener(event.roomId, rule);
      } catch (error) {
        this.#deps.failed(error);
      }
    }
  }
}

/**
 * What a module of a meeting is (chat, hands, reactions), and what it may do. A module knows no WebSocket, no SFU and no
 * HTTP: all that it does goes through its context and through what list.ts hands it.
 */
import type { JsonObject } from '../../../federation/json.ts';
import type { ModerationAction } from '../../../protocol/modules/moderation.ts';
import type { ModuleName, Modules, Signals, Snapshots } from '../../../protocol/modules/list.ts';
import type { LogKind } from '../../../protocol/meeting-log.ts';
import type { RestrictionName, Rules } from '../../../protocol/modules/rules.ts';
import type { Right } from '../../../protocol/rights.ts';
import type {
  Method,
  NotificationData,
  NotificationName,
  Params,
  Participant,
  Result,
} from '../../../protocol/session.ts';
import type { StoredEvent } from '../../engine/rooms/rooms.ts';

/** One handler for each request of a module. Parameters were parsed by their schema before. */
export type Handlers<N extends ModuleName> = {
  readonly [M in keyof Modules[N]['requests'] & Method]: (
    asker: Asker,
    params: Params<M>,
  ) => Promise<Result<M>> | Result<M>;
};

/** What the others of its instance have said of a participant, and how it may be read. */
export interface SaidSignals {
  readonly signals: Signals;
  /** When it was heard, Unix ms. */
  readonly heardAt: number;
  /** How far the clock of whoever said it is ahead of ours, in ms. */
  readonly clockAhead: number;
  /** When the participant joined, Unix ms of our clock. */
  readonly joinedAt: number;
}

/** Who gives an order, perhaps of another instance. */
export interface OrderGiver {
  readonly userId: string;
  readonly displayName: string;
}

/** Who gets a snapshot. */
export interface Viewer {
  readonly userId: string;
  readonly rights: readonly Right[];
}

/** What an order does to one of our participants. */
export interface ModuleOrder {
  /** What its giver needs. */
  readonly right: Right;
  /** What others than those whom it means are told. */
  readonly told?: ModerationAction;
  /** As what it stands in the log of the meeting. */
  readonly noted?: LogKind;
  apply(context: MeetingContext, participantId: string, by: OrderGiver): Promise<void>;
}

export interface MeetingModule<N extends ModuleName = ModuleName> {
  readonly requests: Handlers<N>;
  /**
   * Makes the module one that moderators switch on and off in a meeting: by the state event
   * `org.hansetag.setting.<name>`, `{ "enabled": false }`; without one it is on. While it is off, its requests but
   * `<name>.switch` are refused, it is absent from the snapshot, and nothing of it is taken from other instances.
   */
  readonly switchedBy?: Right;
  /**
   * The rule of the meeting that has the module's name is another one, or somebody has another role: what its own people do
   * although they may not ends.
   */
  ruled?(context: MeetingContext): Promise<void>;
  /** The switch was turned. */
  switched?(context: MeetingContext, enabled: boolean): Promise<void>;
  /** Types of the state events that it writes, and the power level that each takes in a new meeting. */
  readonly powerLevels?: Readonly<Record<string, number>>;
  /** Types of the room's events that `onEvent` is told of, while there is a conference. */
  readonly eventTypes?: readonly string[];
  onEvent?(context: MeetingContext, event: StoredEvent): Promise<void>;
  /** Its part of what another instance says of a participant, as far as it is believed. */
  signals?(said: SaidSignals): Signals;
  /** Orders by action: each is applied at the instance of the participant whom it means. */
  readonly orders?: Readonly<Record<string, ModuleOrder>>;
  /** What a joining client gets. */
  snapshot?(context: MeetingContext, viewer: Viewer): N extends keyof Snapshots ? Snapshots[N] : never;
  /** Short-lived data that the same module of another instance has told; to be parsed. */
  onTold?(context: MeetingContext, server: string, data: unknown): void;
  /** Somebody, here or elsewhere, is in the conference now, or an organisation does not answer any more, or again. */
  peopleChanged?(context: MeetingContext): void;
  /** Somebody, here or elsewhere, is no longer in the conference. */
  left?(context: MeetingContext, participantId: string): void;
}

/** Who makes a request. */
export interface Asker {
  readonly userId: string;
  readonly deviceId: string;
  /** The asker's place. @throws SeatError for who is in no conference; MatrixError 403 while the module is off */
  place(): { readonly context: MeetingContext; readonly participantId: string };
  /** The asker's place, for what the rule of the meeting with the module's name restricts. @throws as `place`; MatrixError 403 */
  permitted(): ReturnType<Asker['place']>;
  /** Turns the switch of the module. @throws SeatError for who is in no conference; MatrixError 403 without the right */
  turnSwitch(enabled: boolean): Promise<void>;
}

/** One conference, as one module sees it. */
export interface MeetingContext {
  readonly roomId: string;
  /** The rules of the meeting. */
  readonly rules: Rules;
  /** Whether a rule of the meeting lets somebody do what it restricts. */
  allows(rule: RestrictionName, who: Pick<Participant, 'userId' | 'role'>): boolean;
  /** Everybody who is shown. */
  participants(): Participant[];
  /** Our own participants. */
  own(): Participant[];
  /** Tells the clients of all our participants. */
  notifyAll<K extends NotificationName>(name: K, data: NotificationData<K>): void;
  /** Tells the client of one of our participants. */
  notify<K extends NotificationName>(participantId: string, name: K, data: NotificationData<K>): void;
  /**
   * Changes what one of our participants does: seen everywhere at once. It ends with the participant's place and outlives a
   * restart of the homeserver once the promise is resolved.
   */
  setSignals(participantId: string, change: Signals): Promise<void>;
  /**
   * Gives an order of the module: it is applied here at once, and at the other instances that have such participants.
   *
   * @param by user id of one of our people
   * @returns the server names of instances that could not be told
   * @throws MatrixError 403 without the right
   */
  order(by: string, action: string, participantIds: readonly string[]): Promise<{ unreached: string[] }>;
  /** Tells the same module of every other instance in the conference. Newer data may overtake it or take its place. */
  tell(data: JsonObject): void;
  /** Does something later, unless the conference has ended by then. */
  later(ms: number, task: () => void): void;
}

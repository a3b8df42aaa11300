/**
 * Checks events against the auth rules: those of other servers at their place in the graph and against the current
 * state, our own against the current state.
 *
 * @see Matrix specification, server-server API, "Checks performed on receipt of a PDU"
 */
import {
  AuthError,
  authTypesFor,
  checkAuth,
  checkAuthEventsSelection,
  powerLevelOf,
  powerLevels,
  stateKey,
  stateViewOf,
} from '../../../federation/auth-rules.ts';
import type { StateView } from '../../../federation/auth-rules.ts';
import { redactsOf, serverOf } from '../../../federation/event.ts';
import type { Pdu } from '../../../federation/event.ts';
import { member } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import type { EventStore } from './event-store.ts';
import type { PartialStateRooms } from './partial-state-rooms.ts';
import type { Room } from './room.ts';
import type { State, StateMap } from './state-store.ts';
import { signedForm } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** The outcome of the checks. */
export interface Verdict {
  readonly rejected: boolean;
  readonly softFailed: boolean;
  /** The reason, for the log and for the sending server. */
  readonly reason?: string;
}

export interface JudgeDeps {
  readonly events: EventStore;
  readonly incomplete: PartialStateRooms;
}

const NOBODY: StateMap = new Map();
const ACCEPTED: Verdict = { rejected: false, softFailed: false };

export class Judge {
  readonly #deps: JudgeDeps;

  constructor(deps: JudgeDeps) {
    this.#deps = deps;
  }

  /** Steps 4 to 6 of the checks on receipt of a PDU. The auth events must be stored. */
  async judge(room: Room, pdu: Pdu, id: string, stateBefore: State): Promise<Verdict> {
    // With partial state, the memberships that the event references are used.
    const members = this.#deps.incomplete.lacksMembers(room.roomId) ? await this.#referencedMembers(pdu) : NOBODY;
    const reason = await this.whyRejected(room, pdu, id, withDefaults(stateBefore.map, members));
    if (reason !== undefined) return { rejected: true, softFailed: false, reason };
    if (stateBefore.group !== room.state.group) {
      try {
        checkAuth(pdu, id, room.version, await this.view(room, withDefaults(room.state.map, members), pdu));
      } catch (error) {
        if (error instanceof AuthError) return { rejected: false, softFailed: true, reason: error.message };
        throw error;
      }
    }
    if (pdu.type === 'm.room.redaction' && (await this.redactionTarget(room, pdu)) === 'nothing') {
      return { rejected: false, softFailed: true, reason: 'The sender may not redact this event.' };
    }
    return ACCEPTED;
  }

  /**
   * Steps 4 and 5 of the checks. @returns the reason for a rejection; undefined when the event is accepted
   *
   * @returns why the event is rejected; undefined when it is not
   */
  async whyRejected(room: Room, pdu: Pdu, id: string, before: StateMap): Promise<string | undefined> {
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    try {
      checkAuthEventsSelection(
        pdu,
        room.version,
        [...cited].map(([citedId, event]) => ({
          eventId: citedId,
          event: signedForm(event),
          rejected: event.rejected,
        })),
      );
      const own = stateViewOf([...cited.values()].map(signedForm), room.create);
      checkAuth(pdu, id, room.version, own);
      checkAuth(pdu, id, room.version, await this.view(room, before, pdu));
      return undefined;
    } catch (error) {
      if (error instanceof AuthError) return error.message;
      throw error;
    }
  }

  /** The membership events among the auth events. */
  async #referencedMembers(pdu: Pdu): Promise<StateMap> {
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    const members = [...cited.values()].filter((event) => event.pdu.type === 'm.room.member' && !event.rejected);
    return new Map(members.map((event) => [stateKey('m.room.member', event.pdu.state_key ?? ''), event.eventId]));
  }

  /**
   * Checks a local event against the current state, from which its auth events were taken. @throws MatrixError 403 or
   * 400
   *
   * @throws MatrixError 403 or 400
   */
  async authorise(room: Pick<Room, 'version' | 'create'>, map: StateMap, pdu: Pdu, id: string): Promise<void> {
    try {
      checkAuth(pdu, id, room.version, await this.view(room, map, pdu));
    } catch (error) {
      if (error instanceof AuthError) {
        throw new MatrixError(error.code === 'M_BAD_JSON' ? 400 : 403, error.code, error.message);
      }
      throw error;
    }
  }

  /** The part of a state that the auth rules need for an event. */
  async view(room: Pick<Room, 'version' | 'create'>, map: StateMap, pdu: Pdu): Promise<StateView> {
    const ids: string[] = [];
    for (const [type, key] of authTypesFor(pdu, room.version)) {
      const id = map.get(stateKey(type, key));
      if (id !== undefined) ids.push(id);
    }
    const events = await this.#deps.events.getMany(ids);
    return stateViewOf([...events.values()].map(signedForm), room.create);
  }

  /** The ids of the auth events for an event, given a state. */
  authEvents(room: Room, map: StateMap, pdu: Pdu): string[] {
    return authTypesFor(pdu, room.version)
      .map(([type, key]) => map.get(stateKey(type, key)))
      .filter((id) => id !== undefined);
  }

  /** A user's membership in the room's current state. */
  async membership(room: Room, userId: string): Promise<string | undefined> {
    const id = room.state.map.get(stateKey('m.room.member', userId));
    const membership =
      id === undefined ? undefined : member((await this.#deps.events.get(id))?.pdu.content, 'membership');
    return typeof membership === 'string' ? membership : undefined;
  }

  /**
   * The event that a redaction redacts. It takes effect if its sender has the power level for it, or belongs to the
   * same server as the sender of the redacted event; clients are not sent any other.
   *
   * @returns `unknown` when we do not have the event
   * @see Matrix specification, server-server API and room version 3, "Handling redactions"
   */
  async redactionTarget(room: Room, redaction: Pdu): Promise<StoredEvent | 'unknown' | 'nothing'> {
    const targetId = redactsOf(redaction, room.version);
    const target = targetId === undefined ? undefined : await this.#deps.events.get(targetId);
    if (!target) return 'unknown';
    if (target.roomId !== room.roomId) return 'nothing';
    const isOwn = serverOf(redaction.sender) === serverOf(target.pdu.sender);
    return isOwn || (await this.mayRedactOthers(room, redaction)) ? target : 'nothing';
  }

  /**
   * Checks a redaction by a local user more strictly than other servers do, which let every server redact what its own
   * users sent. An unknown event may be redacted.
   *
   * @throws MatrixError 400 when `redacts` is not an event of the room, 403 without the power level for events of others
   */
  async requireRedactable(room: Room, redaction: Pdu): Promise<void> {
    const targetId = redactsOf(redaction, room.version);
    if (targetId === undefined) throw new MatrixError(400, 'M_BAD_JSON', 'redacts is missing or not an event id.');
    const target = await this.#deps.events.get(targetId);
    if (target && target.roomId !== room.roomId) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This event is in another room.');
    }
    const isOwn = !target || target.pdu.sender === redaction.sender;
    if (isOwn || (await this.mayRedactOthers(room, redaction))) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'You may not redact messages of others.');
  }

  /** Whether the sender of a redaction has the power level to redact events of others. */
  async mayRedactOthers(room: Room, redaction: Pdu): Promise<boolean> {
    const view = await this.view(room, room.state.map, redaction);
    return powerLevelOf(redaction.sender, room.version, view) >= powerLevels(view).redact;
  }
}

/** A state, with missing keys taken from another one. */
function withDefaults(map: StateMap, defaults: StateMap): StateMap {
  return defaults.size === 0 ? map : new Map([...defaults, ...map]);
}

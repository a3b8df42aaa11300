/**
 * Decides whether events are allowed: those of other servers in their place and in the current state, our own in the
 * current state.
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
import type { IncompleteRooms } from './incomplete-rooms.ts';
import type { Room } from './room.ts';
import type { State, StateMap } from './state-store.ts';
import { signedForm } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** What decided the fate of an event. */
export interface Verdict {
  readonly rejected: boolean;
  readonly softFailed: boolean;
  /** Why, for the log and for the server that sent it. */
  readonly reason?: string;
}

export interface JudgeDeps {
  readonly events: EventStore;
  readonly incomplete: IncompleteRooms;
}

const NOBODY: StateMap = new Map();
const ACCEPTED: Verdict = { rejected: false, softFailed: false };

export class Judge {
  readonly #deps: JudgeDeps;

  constructor(deps: JudgeDeps) {
    this.#deps = deps;
  }

  /** Steps 4 to 6 of the checks. The auth events must be stored. */
  async judge(room: Room, pdu: Pdu, id: string, stateBefore: State): Promise<Verdict> {
    // As long as the members of the room are not known, those count that the event cites.
    const members = this.#deps.incomplete.lacksMembers(room.roomId) ? await this.#citedMembers(pdu) : NOBODY;
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
    if (pdu.type === 'm.room.redaction' && (await this.redacts(room, pdu)) === 'nothing') {
      return { rejected: false, softFailed: true, reason: 'It redacts what it may not.' };
    }
    return ACCEPTED;
  }

  /** Steps 4 and 5 of the checks. @returns why the event is rejected; undefined when it is not */
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

  /** The memberships among the auth events of an event. */
  async #citedMembers(pdu: Pdu): Promise<StateMap> {
    const cited = await this.#deps.events.getMany(pdu.auth_events);
    const members = [...cited.values()].filter((event) => event.pdu.type === 'm.room.member' && !event.rejected);
    return new Map(members.map((event) => [stateKey('m.room.member', event.pdu.state_key ?? ''), event.eventId]));
  }

  /** Checks an event of our own against the current state; it cites just that. @throws MatrixError 403 or 400 */
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

  /** The part of a state that decides about an event. */
  async view(room: Pick<Room, 'version' | 'create'>, map: StateMap, pdu: Pdu): Promise<StateView> {
    const ids: string[] = [];
    for (const [type, key] of authTypesFor(pdu, room.version)) {
      const id = map.get(stateKey(type, key));
      if (id !== undefined) ids.push(id);
    }
    const events = await this.#deps.events.getMany(ids);
    return stateViewOf([...events.values()].map(signedForm), room.create);
  }

  /** The auth events that an event has to cite in a state. */
  authEvents(room: Room, map: StateMap, pdu: Pdu): string[] {
    return authTypesFor(pdu, room.version)
      .map(([type, key]) => map.get(stateKey(type, key)))
      .filter((id) => id !== undefined);
  }

  /** The membership of a user in the room's current state. */
  async membership(room: Room, userId: string): Promise<string | undefined> {
    const id = room.state.map.get(stateKey('m.room.member', userId));
    const membership =
      id === undefined ? undefined : member((await this.#deps.events.get(id))?.pdu.content, 'membership');
    return typeof membership === 'string' ? membership : undefined;
  }

  /**
   * The event that a redaction redacts. It counts when its sender has the level for it or is of the same server as the
   * redacted event's; clients are told of no other.
   *
   * @returns `unknown` when we do not have the event
   * @see Matrix specification, server-server API and room version 3, "Handling redactions"
   */
  async redacts(room: Room, redaction: Pdu): Promise<StoredEvent | 'unknown' | 'nothing'> {
    const targetId = redactsOf(redaction, room.version);
    const target = targetId === undefined ? undefined : await this.#deps.events.get(targetId);
    if (!target) return 'unknown';
    if (target.roomId !== room.roomId) return 'nothing';
    const isOwn = serverOf(redaction.sender) === serverOf(target.pdu.sender);
    return isOwn || (await this.redactsAnybodys(room, redaction)) ? target : 'nothing';
  }

  /**
   * Asks of a redaction by one of our people what other servers do not ask: they let every server redact what its own
   * people wrote. An event that we do not have may be redacted.
   *
   * @throws MatrixError 400 when it names no event or one of another room, 403 without the level for what others wrote
   */
  async requireRedactable(room: Room, redaction: Pdu): Promise<void> {
    const targetId = redactsOf(redaction, room.version);
    if (targetId === undefined) throw new MatrixError(400, 'M_BAD_JSON', 'redacts is missing or no event id.');
    const target = await this.#deps.events.get(targetId);
    if (target && target.roomId !== room.roomId) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'This event is in another room.');
    }
    const isOwn = !target || target.pdu.sender === redaction.sender;
    if (isOwn || (await this.redactsAnybodys(room, redaction))) return;
    throw new MatrixError(403, 'M_FORBIDDEN', 'You may not redact what others wrote.');
  }

  /** Whether the sender of a redaction has the level to redact what others wrote. */
  async redactsAnybodys(room: Room, redaction: Pdu): Promise<boolean> {
    const view = await this.view(room, room.state.map, redaction);
    return powerLevelOf(redaction.sender, room.version, view) >= powerLevels(view).redact;
  }
}

/** A state, and what it lacks from another one. */
function withDefaults(map: StateMap, defaults: StateMap): StateMap {
  return defaults.size === 0 ? map : new Map([...defaults, ...map]);
}

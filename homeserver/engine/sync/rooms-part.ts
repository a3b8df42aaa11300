/** Rooms in `/sync`: timelines, state and memberships. */
import { stateKey } from '../../../federation/auth-rules.ts';
import { eventId } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { InviteRule } from '../rooms/ports.ts';
import type { Database } from '../../database/database.ts';
import type { Invitation } from '../rooms/invitations.ts';
import { STRIPPED_STATE } from '../rooms/stripped-state.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StateChange } from '../rooms/state-changes.ts';
import { clientEvent, strippedEvent } from '../client/client-event.ts';
import type { ClientEvents } from '../client/client-events.ts';
import { LazyMembers } from './lazy-members.ts';
import { joinedRoom } from './part.ts';
import type { AskedRoom, OtherRoom, SyncAnswer, SyncPart, SyncQuestion } from './part.ts';
import { roomEntry } from './room-entry.ts';
import { changesSummary, summaries } from './summary.ts';

/** Rooms read concurrently: an initial sync may have hundreds. */
const AT_ONCE = 8;

export interface RoomsPartOptions {
  readonly db: Database;
  readonly rooms: Rooms;
  readonly clientEvents: ClientEvents;
  /** The users that a user ignores. */
  readonly ignored: (userId: string) => Promise<ReadonlySet<string>>;
  /** The user's rule for invites from a sender. */
  readonly inviteRule: (userId: string, sender: string) => Promise<InviteRule>;
}

export function roomsPart({ db, rooms, clientEvents, ignored, inviteRule }: RoomsPartOptions): SyncPart {
  const deps = { rooms, clientEvents, lazyMembers: new LazyMembers() };

  return {
    name: 'rooms',
    async collect(question, answer) {
      const { userId, deviceId, since, upTo } = question;
      if (since === undefined) deps.lazyMembers.forget(`${userId}\0${deviceId}`);
      const hidden = await ignored(userId);
      const told = await roomsWithNews(question);
      const ids = told.map((room) => room.roomId);
      const changes = await changesOf(told, upTo);
      const changed = ids.filter((id, at) => told[at]?.since === undefined || changesSummary(changes.get(id) ?? []));
      const counted = await summaries(db, changed, userId);
      for (let at = 0; at < told.length; at += AT_ONCE) {
        const some = told.slice(at, at + AT_ONCE);
        const entries = await Promise.all(
          some.map(({ roomId, since: known }) =>
            roomEntry(deps, {
              question,
              roomId,
              since: known,
              upTo,
              changes: changes.get(roomId) ?? [],
              summary: counted.get(roomId),
              ignored: hidden,
            }),
          ),
        );
        for (const [index, room] of some.entries()) {
          const entry = entries[index];
          if (entry) Object.assign(joinedRoom(answer, room.roomId), entry);
        }
      }
      for (const room of question.rooms.others) await addOther(question, answer, room, hidden);
    },
  };

  /** New rooms, and rooms with changes. */
  async function roomsWithNews(question: SyncQuestion): Promise<AskedRoom[]> {
    const all = [...question.rooms.joined.values()];
    const known = all.filter((room) => room.since !== undefined).map((room) => room.roomId);
    const rows =
      known.length === 0
        ? []
        : await db.query<{ room_id: string }>(
            `SELECT room_id FROM unnest($1::text[]) AS r (room_id) WHERE EXISTS (
               SELECT 1 FROM events e WHERE e.room_id = r.room_id AND e.position > $2 AND e.position <= $3)
             OR EXISTS (
               SELECT 1 FROM state_changes c WHERE c.room_id = r.room_id AND c.position > $2 AND c.position <= $3)`,
            [known, question.since, question.upTo],
          );
    const moved = new Set(rows.map((row) => row.room_id));
    return all.filter((room) => room.since === undefined || moved.has(room.roomId));
  }

  async function changesOf(told: readonly AskedRoom[], upTo: number): Promise<Map<string, StateChange[]>> {
    const [known, fresh] = [
      told.filter((room) => room.since !== undefined),
      told.filter((room) => room.since === undefined),
    ];
    const since = known[0]?.since ?? upTo;
    const idsOf = (list: readonly AskedRoom[]): string[] => list.map((room) => room.roomId);
    const found = [
      ...(await rooms.changes.ofRooms(idsOf(known), since, Number.MAX_SAFE_INTEGER)),
      ...(await rooms.changes.ofRooms(idsOf(fresh), upTo, Number.MAX_SAFE_INTEGER)),
    ];
    const byRoom = new Map<string, StateChange[]>();
    for (const change of found) {
      const list = byRoom.get(change.roomId);
      if (list) list.push(change);
      else byRoom.set(change.roomId, [change]);
    }
    return byRoom;
  }

  async function addOther(
    question: SyncQuestion,
    answer: SyncAnswer,
    room: OtherRoom,
    hidden: ReadonlySet<string>,
  ): Promise<void> {
    const { roomId, membership } = room;
    if (membership === 'invite' || membership === 'knock') {
      const state = await outsideState(roomId, question.userId, hidden);
      if (!state) return addUnseenLeave(question, answer, room, hidden);
      if (membership === 'invite') answer.rooms.invite[roomId] = { invite_state: { events: state } };
      else answer.rooms.knock[roomId] = { knock_state: { events: state } };
    } else {
      const entry = await leftRoom(question, room, hidden);
      if (entry) answer.rooms.leave[roomId] = entry;
    }
  }

  /** An invite that is not shown came after the user was removed: without it the client would take her for joined. */
  async function addUnseenLeave(
    question: SyncQuestion,
    answer: SyncAnswer,
    room: OtherRoom,
    hidden: ReadonlySet<string>,
  ): Promise<void> {
    const { roomId, since, position } = room;
    if (since === undefined) return;
    const moves = await rooms.changes.ofMember(question.userId, since, position - 1);
    for (const move of moves.filter((one) => one.roomId === roomId).reverse()) {
      const event = await rooms.event(move.eventId ?? '');
      const membership = event && member(event.pdu.content, 'membership');
      if (membership !== 'leave' && membership !== 'ban') continue;
      const entry = await endedMembership(question, { ...room, membership, position: move.position }, hidden);
      if (entry) answer.rooms.leave[roomId] = entry;
      return;
    }
  }

  /** Whether it is an invite that is not to be shown. */
  async function isUnwanted({ sender, content }: JsonObject, userId: string): Promise<boolean> {
    if (!isJsonObject(content) || content['membership'] !== 'invite' || typeof sender !== 'string') return false;
    return (await inviteRule(userId, sender)) === 'ignore';
  }

  /**
   * Stripped state, followed by the user's own membership as a full event.
   *
   * @returns undefined for an invite from an ignored user
   */
  async function outsideState(
    roomId: string,
    userId: string,
    hidden: ReadonlySet<string>,
  ): Promise<JsonObject[] | undefined> {
    const invitation = await rooms.invitation(roomId, userId);
    if (invitation) {
      if (hidden.has(invitation.sender) || (await isUnwanted(invitation.event, userId))) return undefined;
      return [...invitation.state.map((pdu) => strippedEvent(pdu)), formOf(invitation)];
    }
    const ids = await rooms.stateIds(roomId);
    const own = await rooms.event(ids.get(stateKey('m.room.member', userId)) ?? '');
    if (!own || hidden.has(own.pdu.sender) || (await isUnwanted(own.pdu, userId))) return undefined;
    const keys = [...STRIPPED_STATE.map((type) => stateKey(type, '')), stateKey('m.room.member', own.pdu.sender)];
    const events = await rooms.events(keys.map((key) => ids.get(key)).filter((id) => id !== undefined));
    events.delete(own.eventId);
    return [...[...events.values()].map((event) => strippedEvent(event.pdu)), clientEvent(own)];
  }

  /** The timeline up to the leave, and the state changes until then. */
  async function leftRoom(
    question: SyncQuestion,
    room: OtherRoom,
    hidden: ReadonlySet<string>,
  ): Promise<JsonObject | undefined> {
    const { roomId, position } = room;
    const invitation = await rooms.invitation(roomId, question.userId);
    if (!invitation) return endedMembership(question, room, hidden);
    if (hidden.has(invitation.sender)) return undefined;
    const events = [formOf(invitation)];
    return { timeline: { events, limited: false, prev_batch: `p${position}` }, state: { events: [] } };
  }

  /** The same for a room whose events are here. */
  async function endedMembership(
    question: SyncQuestion,
    room: OtherRoom,
    hidden: ReadonlySet<string>,
  ): Promise<JsonObject | undefined> {
    const { roomId, since, position } = room;
    const moves = await rooms.changes.ofMember(question.userId, position - 1, position);
    const leave = await rooms.event(moves.find((move) => move.roomId === roomId)?.eventId ?? '');
    if (!leave) return undefined;
    const own = stateKey('m.room.member', question.userId);
    const before = await rooms.event((await rooms.history.stateBefore(leave))?.get(own) ?? '');
    if (room.forgotten || member(before?.pdu.content, 'membership') !== 'join') {
      // A user who was never joined, or has forgotten the room, only gets the end of the membership.
      const events = await clientEvents.timeline([leave], question);
      return { timeline: { events, limited: false, prev_batch: `p${position}` }, state: { events: [] } };
    }
    const end = await rooms.history.stateAfter(leave);
    return roomEntry(deps, {
      question,
      roomId,
      since,
      upTo: position,
      changes: since === undefined ? [] : await rooms.changes.ofRooms([roomId], since, position),
      ...(end ? { end } : {}),
      ignored: hidden,
    });
  }
}

/** The event of an out-of-band membership, or of its end. */
function formOf({ roomId, event, version, position }: Invitation): JsonObject {
  const rules = roomVersion(version);
  return clientEvent({
    eventId: rules === undefined ? '' : eventId(event, rules),
    roomId,
    pdu: event,
    position,
    rejected: false,
    softFailed: false,
    outlier: true,
  });
}

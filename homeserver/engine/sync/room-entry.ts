/** The entry of one joined or left room in `/sync`: timeline, state and summary. */
import { stateKey } from '../../../federation/auth-rules.ts';
import type { StateKey } from '../../../federation/auth-rules.ts';
import { member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { Rooms, StoredEvent } from '../rooms/rooms.ts';
import type { StateChange } from '../rooms/state-changes.ts';
import { clientEvent } from '../client/client-event.ts';
import type { ClientEvents } from '../client/client-events.ts';
import { passes } from '../client/event-filter.ts';
import { pickFields } from './filter.ts';
import type { LazyMembers } from './lazy-members.ts';
import type { SyncQuestion } from './part.ts';
import { changedState, rolledBack, wholeState } from './room-state.ts';
import { changesSummary, summaryJson } from './summary.ts';
import type { Summary } from './summary.ts';
import { timelinePage } from './timeline-page.ts';
import type { TimelinePage } from './timeline-page.ts';

export interface RoomEntryDeps {
  readonly rooms: Rooms;
  readonly clientEvents: ClientEvents;
  readonly lazyMembers: LazyMembers;
}

export interface RoomEntryQuestion {
  readonly question: SyncQuestion;
  readonly roomId: string;
  /** Undefined when the room is new to the client. */
  readonly since: number | undefined;
  /** Inclusive; lower than that of the sync when the user left. */
  readonly upTo: number;
  /** The room's state changes since the token (or since `upTo` for a new room) until now. */
  readonly changes: readonly StateChange[];
  /** The state at the end, when it is not the current one minus `changes`. */
  readonly end?: ReadonlyMap<StateKey, string>;
  readonly summary?: Summary | undefined;
  readonly ignored: ReadonlySet<string>;
}

/** @returns undefined when nothing is new, or the user may no longer see the room */
export async function roomEntry(deps: RoomEntryDeps, asked: RoomEntryQuestion): Promise<JsonObject | undefined> {
  const { rooms } = deps;
  const { question, roomId, since, upTo, ignored } = asked;
  const { userId, deviceId, filter } = question;
  const page = await timelinePage(rooms, {
    roomId,
    userId,
    after: since ?? timelineSince(question, roomId),
    upTo,
    filter: filter.room?.timeline,
    ignored,
  });
  if (!page) return undefined;
  const state = await stateToTell(deps, asked, page);
  if (since !== undefined && page.events.length === 0 && state.size === 0 && !page.limited) return undefined;
  const events = await rooms.events(state.values());
  const stateEvents = [...events.values()].filter((event) => passes(filter.room?.state ?? {}, event));
  const viewer = { userId, deviceId };
  const forms = { timeline: [] as JsonObject[], state: [] as JsonObject[] };
  if (filter.event_format === 'federation') {
    const form = (event: StoredEvent): JsonObject => {
      const { unsigned } = clientEvent(event);
      return { ...event.pdu, event_id: event.eventId, room_id: roomId, unsigned: unsigned ?? {} };
    };
    forms.timeline = page.events.map(form);
    forms.state = stateEvents.map(form);
  } else {
    forms.timeline = await deps.clientEvents.timeline(page.events, viewer);
    forms.state = await deps.clientEvents.state(stateEvents, viewer);
  }
  const fields = filter.event_fields;
  const picked = (list: JsonObject[]): JsonObject[] => (fields ? list.map((event) => pickFields(event, fields)) : list);
  const summary = await summaryToTell(deps.rooms, asked);
  return {
    timeline: {
      events: picked(forms.timeline),
      // For the client, the timeline begins in the middle of the history, however short that is.
      limited: page.limited || question.rooms.entered.has(roomId),
      prev_batch: page.before,
    },
    [question.stateAfter ?? 'state']: { events: picked(forms.state) },
    account_data: { events: [] },
    ephemeral: { events: [] },
    ...(summary === undefined ? {} : { summary }),
  };
}

/** With `full_state`, the timeline of a known room continues where it was; that of a new room may begin earlier. */
function timelineSince({ since, fullState, rooms }: SyncQuestion, roomId: string): number | undefined {
  return fullState && !rooms.entered.has(roomId) ? since : undefined;
}

async function stateToTell(
  { rooms, lazyMembers }: RoomEntryDeps,
  asked: RoomEntryQuestion,
  page: TimelinePage,
): Promise<Map<StateKey, string>> {
  const { question, roomId, since, upTo, changes } = asked;
  const { userId, deviceId, filter } = question;
  const timeline = page.events;
  const how = { timeline, after: question.stateAfter !== undefined, depthBefore: page.depthBefore };
  const later = changes.filter((change) => change.position > upTo);
  const end = asked.end ?? rolledBack(await rooms.stateIds(roomId), later);
  const [first] = timeline;
  const state =
    since === undefined
      ? wholeState(how, (first && (await rooms.history.stateBefore(first))) ?? end, end)
      : changedState(
          how,
          changes.filter((change) => change.position <= upTo),
        );
  const lazy = filter.room?.state;
  if (lazy?.lazy_load_members !== true) return state;
  const needed = new Set(timeline.map((event) => event.pdu.sender));
  if (since === undefined) needed.add(userId);
  const heroes = asked.summary?.heroes ?? [];
  if (since === undefined && heroes.length > 0 && !(await isNamed(rooms, roomId))) {
    for (const hero of heroes) needed.add(hero);
  }
  // All members of a large room may have become known at once: these are not changes.
  const learned = (await rooms.completedAfter([roomId], since ?? upTo)).get(roomId);
  const news = new Set(changes.filter((change) => change.position !== learned).map((change) => change.key));
  // Joins and leaves since the token are sent all the same: clients would show wrong members otherwise.
  const keep = (key: StateKey): boolean => since !== undefined && news.has(key);
  const whole = await withSenders(
    rooms,
    roomId,
    since === undefined || how.after ? end : withoutTimeline(end, timeline),
    timeline,
  );
  return lazyMembers.select(`${userId}\0${deviceId}`, roomId, state, needed, whole, {
    redundant: lazy.include_redundant_members === true,
    keep,
  });
}

/**
 * Adds the senders of the timeline, whose memberships may not be known yet with partial state: taken from the auth
 * events of their events.
 */
async function withSenders(
  rooms: Rooms,
  roomId: string,
  state: ReadonlyMap<StateKey, string>,
  timeline: readonly StoredEvent[],
): Promise<ReadonlyMap<StateKey, string>> {
  if (!rooms.lacksMembers(roomId)) return state;
  const cited = await rooms.events(timeline.flatMap((event) => event.pdu.auth_events));
  const whole = new Map(state);
  for (const { pdu, eventId } of cited.values()) {
    const key = stateKey(pdu.type, pdu.state_key ?? '');
    if (pdu.type === 'm.room.member' && !whole.has(key)) whole.set(key, eventId);
  }
  return whole;
}

/** Memberships in the timeline are not repeated in the state. */
function withoutTimeline(
  state: ReadonlyMap<StateKey, string>,
  timeline: readonly StoredEvent[],
): ReadonlyMap<StateKey, string> {
  const brought = new Set(timeline.map((event) => event.eventId));
  return new Map([...state].filter(([, id]) => !brought.has(id)));
}

/** The summary, if it may have changed. */
async function summaryToTell(rooms: Rooms, asked: RoomEntryQuestion): Promise<JsonObject | undefined> {
  const { summary, since, changes, roomId } = asked;
  if (!summary) return undefined;
  if (since !== undefined && !changesSummary(changes)) return undefined;
  return summaryJson(summary, await isNamed(rooms, roomId));
}

/** Whether a room has a name or canonical alias, and is not named after its heroes. */
async function isNamed(rooms: Rooms, roomId: string): Promise<boolean> {
  const end = await rooms.stateIds(roomId);
  const nameId = end.get(stateKey('m.room.name', ''));
  const aliasId = end.get(stateKey('m.room.canonical_alias', ''));
  const events = await rooms.events([nameId, aliasId].filter((id) => id !== undefined));
  const isSet = (id: string | undefined, key: string): boolean => {
    const value = member(events.get(id ?? '')?.pdu.content, key);
    return typeof value === 'string' && value !== '';
  };
  return isSet(nameId, 'name') || isSet(aliasId, 'alias');
}

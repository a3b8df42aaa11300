/** What `/sync` says of one room whose events the user gets: timeline, state and summary. */
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
  /** undefined when the client knows nothing of the room. */
  readonly since: number | undefined;
  /** Inclusive; when the user left, before that of the sync. */
  readonly upTo: number;
  /** Changes of the room's state since the token, or since `upTo` for a room that is new, up to now. */
  readonly changes: readonly StateChange[];
  /** State at the end, when it is not the current one rolled back. */
  readonly end?: ReadonlyMap<StateKey, string>;
  readonly summary?: Summary | undefined;
  readonly ignored: ReadonlySet<string>;
}

/** @returns undefined when nothing is new, or the user may not look into the room any more */
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
      // The client is new to the room in the middle of its history, however short that is.
      limited: page.limited || question.rooms.entered.has(roomId),
      prev_batch: page.before,
    },
    [question.stateAfter ?? 'state']: { events: picked(forms.state) },
    account_data: { events: [] },
    ephemeral: { events: [] },
    ...(summary === undefined ? {} : { summary }),
  };
}

/** With all state asked for, the timeline of a known room goes on where it was; of a new one, it may begin earlier. */
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
  // All members of a large room may have become known at once: these are no news.
  const learned = (await rooms.completedAfter([roomId], since ?? upTo)).get(roomId);
  const news = new Set(changes.filter((change) => change.position !== learned).map((change) => change.key));
  // Who came or went meanwhile is told even so: clients would take them to be where they were.
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

/** The senders of a timeline, who may not be known as members yet: their events say what they rest on. */
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

/** A membership that the timeline brings is not told beside it. */
function withoutTimeline(
  state: ReadonlyMap<StateKey, string>,
  timeline: readonly StoredEvent[],
): ReadonlyMap<StateKey, string> {
  const brought = new Set(timeline.map((event) => event.eventId));
  return new Map([...state].filter(([, id]) => !brought.has(id)));
}

/** The summary, when it may have changed. */
async function summaryToTell(rooms: Rooms, asked: RoomEntryQuestion): Promise<JsonObject | undefined> {
  const { summary, since, changes, roomId } = asked;
  if (!summary) return undefined;
  if (since !== undefined && !changesSummary(changes)) return undefined;
  return summaryJson(summary, await isNamed(rooms, roomId));
}

/** Whether a room has a name or an alias of its own, and need not be named after people. */
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

/**
 * Errors in a log of Synapse. Some it makes by itself, whatever it is sent: each of them is known by its cause, which has to
 * stand in the log and, where it names events, in these.
 */
import { isBeforeItsTarget, isIdleRedaction } from './excuses.ts';
import type { RoomGraph } from './graph.ts';

export interface LoggedError {
  /** One line. */
  readonly text: string;
  /** What it is known as, when Synapse makes it by itself. */
  readonly known?: string;
  /** The events of which it speaks, each of which has to bear that out. */
  readonly eventIds: readonly string[];
  /** When it gave up to complete a room: what it got from whom it asked, all of which has to bear that out. */
  readonly answers?: readonly Answer[];
}

/** Why Synapse did not get a state from a server. */
export interface Answer {
  /** The name of the server. */
  readonly from: string;
  /** Whether nothing came back, or nothing was sent as nothing had come back just before. */
  readonly isUnreached: boolean;
  /** Whether the server said that it may not know. */
  readonly isForbidden: boolean;
  /** The join by which Synapse came into the room. */
  readonly joinId: string;
}

interface OwnError {
  readonly name: string;
  /** Of a whole entry. Its group `events` names those of which it speaks. */
  readonly pattern: RegExp;
  readonly bearsOut?: (server: number, error: LoggedError, graphs: readonly RoomGraph[]) => boolean | Promise<boolean>;
}

const UNREACHED = /^(?:Failed to send request: |Not retrying server )/;

const OWN_ERRORS: readonly OwnError[] = [
  {
    // Its counters are changed by one thread while another one reads them.
    name: 'counters_read_while_changed',
    pattern: /_txn_perf_counters\.interval[^]*RuntimeError: dictionary changed size during iteration\s*$/,
  },
  {
    // After an outage it sends the end of each room first, and does not find that where it is a redaction that redacts
    // nothing, or nothing yet, which it hides from itself as well.
    name: 'redaction_not_found',
    pattern:
      / synapse\.federation\.sender\.per_destination_queue ERROR [^]*AssertionError: No events retrieved when we asked for \[(?<events>'[^\]]+')\]\. This should not happen\.\s*$/,
    bearsOut: ofEachEvent(
      async (server, eventId, graph) =>
        isBeforeItsTarget(server, eventId, graph) || (await isIdleRedaction(server, eventId, graph)),
    ),
  },
  {
    // Before it enters a room that it was in before, it forgets where the room ends; until it is inside, requests of its
    // own people and of others about the room fail.
    name: 'end_of_left_room_forgotten',
    pattern: /AssertionError: Attempting to create an event with no prev_events\s*$/,
  },
  {
    // Likewise it forgets the state of such a room, and stumbles over that when it still lets somebody in by itself.
    name: 'state_of_left_room_forgotten',
    pattern: /in _calculate_sliding_sync_table_changes\n\s*assert delta_state\.no_longer_in_room\nAssertionError\s*$/,
  },
  {
    // It gives up to complete a room when all whom it asks, each once, are cut off or do not have what came before: a
    // Synapse may not, ours have to. It also tries to when it has left the room meanwhile, and may not know any more.
    name: 'completion_given_up',
    pattern:
      / ERROR sync_partial_state_room-\d+ (?:Failed to get state for .*, giving up!|Background process 'sync_partial_state_room' threw an exception\n[^]*FederationError: ERROR 403: We can't get valid state history\.)\s*$/,
    bearsOut: async (server, { answers = [] }, graphs) => {
      for (const { from, isUnreached, isForbidden, joinId } of answers) {
        const asked = graphs[0]?.serverNamed(from);
        if (asked === undefined) return false;
        if (isUnreached || graphs[0]?.kind(asked) === 'synapse') continue;
        const graph = graphs.find((one) => one.event(joinId));
        if (!isForbidden || !graph || !(await graph.sawLeave(asked, server, joinId))) return false;
      }
      return answers.length > 0;
    },
  },
  {
    // An event comes while it completes the room and is stored right after that: it says so, and tries again.
    name: 'room_completed_meanwhile',
    pattern:
      / synapse\.storage\.databases\.main\.events ERROR persist_events-[^]*is not present in table "partial_state_rooms"[^]*PartialStateConflictError: 409: Cannot persist partial state event in un-partial stated room\s*$/,
  },
  {
    // When it learns by history alone that somebody of its own was thrown out, it does not know the state at that event,
    // and asks for it when they do.
    name: 'state_at_outlier_leave',
    pattern:
      /RuntimeError: No state group for unknown or outlier event (?<events>\S+)\n[^]*in get_room_data\n[^]*KeyError: '\k<events>'\s*$/,
    bearsOut: ofEachEvent((server, eventId, graph) => {
      const event = graph.event(eventId);
      const isOut = ['leave', 'ban'].includes(String(event?.content['membership']));
      return event?.type === 'm.room.member' && isOut && graph.nameOf(server) === homeOf(event.state_key);
    }),
  },
];
/** For which event it gives up. The error that says what happened last comes right after it, in the same task. */
const GIVING_UP = / ERROR (?<task>sync_partial_state_room-\d+) Failed to get state for .* event_id=(?<event>\$[\w-]+),/;
const STARTING = ' ***** STARTING SERVER *****';

/** Errors in a log, as whole entries. */
export function errorsIn(log: string): LoggedError[] {
  // Twisted writes one entry to say that an error comes, and another one for the error.
  const whole = log.replace(
    / Unhandled error in Deferred:\s*\n\S+ \S+ twisted CRITICAL \S* *\n/g,
    ' Unhandled error\n',
  );
  const entries = whole.split(/\n(?=\d{4}-\d\d-\d\d )/);
  return entries.flatMap((entry, at) => {
    if (!/^\S+ \S+ \S+ (ERROR|CRITICAL) /.test(entry)) return [];
    const error = { text: inOneLine(entry), eventIds: [] };
    for (const { name, pattern } of OWN_ERRORS) {
      const match = pattern.exec(entry);
      if (!match) continue;
      const eventIds = match.groups?.['events']?.match(/\$[\w-]+/g) ?? [];
      return { ...error, known: name, eventIds, answers: answersBefore(entries.slice(0, at + 1)) };
    }
    return error;
  });
}

/** What Synapse got from whom it asked for the state at an event. @param entries up to that it gave up, or why */
function answersBefore(entries: readonly string[]): Answer[] {
  const task = / ERROR (sync_partial_state_room-\d+) /.exec(entries.at(-1) ?? '')?.[1];
  if (task === undefined) return [];
  // Tasks are numbered anew after a start.
  const began = entries.findLastIndex((entry) => entry.includes(STARTING));
  const own = entries.slice(began + 1);
  const event = own.map((entry) => GIVING_UP.exec(entry)?.groups).findLast((one) => one?.['task'] === task)?.['event'];
  if (event === undefined) return [];
  const asked = ` WARNING ${task}-${event} `;
  return own.flatMap((entry) => {
    const [, from, reason] =
      / Error attempting to resolve state from (\S+) for missing prev_events: (.*)/.exec(
        entry.includes(asked) ? entry : '',
      ) ?? [];
    if (from === undefined || reason === undefined) return [];
    const isForbidden = reason.trim() === '403: Forbidden';
    return {
      from,
      isForbidden,
      joinId: event,
      isUnreached: UNREACHED.test(reason) || isPassedOver(own, `${task}-${event}-`, from, reason),
    };
  });
}

/** Whether it knew the state by its ids, but did not get an event while the log says that it did not ask the server. */
function isPassedOver(entries: readonly string[], task: string, server: string, reason: string): boolean {
  const [, eventId] = /^Unable to get missing prev_event (\S+)/.exec(reason) ?? [];
  const missed = entries.findLast(
    (entry) => entry.includes(` WARNING ${task}`) && entry.includes(` Server ${server} didn't return event ${eventId}`),
  );
  if (eventId === undefined || missed === undefined) return false;
  const at = timeOf(missed);
  return entries.some((entry) => {
    const [, name, last, interval] =
      / Not retrying server (\S+) because .* retry_last_ts=(\d+) .* retry_interval=(\d+)ms/.exec(entry) ?? [];
    return name === server && at >= Number(last) && at <= Number(last) + Number(interval);
  });
}

/** When an entry was written, in ms since 1970. It says so in the time of this machine. */
const timeOf = (entry: string): number => Date.parse(entry.slice(0, 23).replace(' ', 'T').replace(',', '.'));

/**
 * Events that Synapse was given and threw away, because it could not ask for what came before them at that moment. Who
 * sent them was told that it had taken them.
 */
export function droppedIn(log: string): Set<string> {
  const pattern = / Error handling PDU (\$[\w-]+): ERROR 403: Your server isn't divulging details about prev_events/g;
  return new Set(Array.from(log.matchAll(pattern), ([, eventId = '']) => eventId));
}

/** Whether Synapse made an error by itself. @param graphs of all rooms @throws IncompleteGraphError */
export async function isItsOwn(server: number, error: LoggedError, graphs: readonly RoomGraph[]): Promise<boolean> {
  const own = OWN_ERRORS.find(({ name }) => name === error.known);
  return own !== undefined && (await (own.bearsOut?.(server, error, graphs) ?? true));
}

/** Looks at each of the events of which an error speaks. */
function ofEachEvent(
  bearsOut: (server: number, eventId: string, graph: RoomGraph) => boolean | Promise<boolean>,
): OwnError['bearsOut'] {
  return async (server, { eventIds }, graphs) => {
    for (const eventId of eventIds) {
      const graph = graphs.find((one) => one.event(eventId));
      if (!graph || !(await bearsOut(server, eventId, graph))) return false;
    }
    return true;
  };
}

function inOneLine(entry: string): string {
  const lines = entry.trimEnd().split('\n');
  return `${(lines[0] ?? '').slice(0, 300)}${lines.length > 1 ? ` … ${(lines.at(-1) ?? '').slice(0, 300)}` : ''}`;
}

const homeOf = (userId: string | undefined): string | undefined => userId?.slice(userId.indexOf(':') + 1);

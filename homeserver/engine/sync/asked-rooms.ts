/** The rooms of a `/sync`, and how the user's membership of each changed since the token. */
import { splitStateKey } from '../../../federation/auth-rules.ts';
import { member } from '../../../federation/json.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StateChange } from '../rooms/state-changes.ts';
import { wantsRoom } from './filter.ts';
import type { AskedRoom, AskedRooms, OtherRoom, SyncQuestion } from './part.ts';

const ALL = ['join', 'invite', 'knock', 'leave', 'ban'];

/** How a membership changed between the token and the end of the response. */
interface Movement {
  /** At the token. */
  readonly before: string | undefined;
  /** At the end; undefined when nothing changed after it either, so that the current one applies. */
  readonly after: string | undefined;
  readonly changed: boolean;
  /** Whether the user was not joined at any time in between. */
  readonly outside: boolean;
  readonly inside: boolean;
  /** The last change in the response: the resulting membership, and its position. */
  readonly last: string | undefined;
  readonly position: number | undefined;
}

export async function askedRooms(rooms: Rooms, question: Omit<SyncQuestion, 'rooms'>): Promise<AskedRooms> {
  const { userId, since, upTo, fullState, filter } = question;
  const present = await rooms.roomsOf(userId, ALL);
  const movements = await movementsOf(rooms, userId, since ?? upTo, upTo);
  const joined = new Map<string, AskedRoom>();
  const entered = new Set<string>();
  const exited = new Set<string>();
  const others: OtherRoom[] = [];
  const forgotten = justForgotten(present, movements, since);
  const hidden = await hiddenRooms(rooms, question, present);
  const includeLeft = filter.room?.include_leave === true && (since === undefined || fullState);
  for (const entry of [...present, ...forgotten]) {
    const { roomId } = entry;
    if (!wantsRoom(filter.room, roomId)) continue;
    const moved = movements.get(roomId);
    const membership = moved?.after ?? entry.membership;
    const position = moved?.after === undefined ? entry.position : (moved.position ?? 0);
    // Committed after the end of the response: the next sync has it.
    if (position > upTo) continue;
    const before = moved?.changed === true ? moved.before : membership;
    const fresh = since === undefined || fullState;
    if (membership === 'join') {
      if (hidden.now.has(roomId)) continue;
      const isNew = before !== 'join' || moved?.outside === true || hidden.before.has(roomId);
      if (since !== undefined && isNew) entered.add(roomId);
      joined.set(roomId, { roomId, since: fresh || isNew ? undefined : since });
      continue;
    }
    if (since !== undefined && before === 'join') exited.add(roomId);
    if (since !== undefined && before !== 'join' && moved?.inside === true) entered.add(roomId);
    const isOpen = membership === 'invite' || membership === 'knock';
    if (isOpen ? fresh || position > since : (since !== undefined && position > since) || includeLeft) {
      others.push({
        roomId,
        membership,
        position,
        since: before === 'join' ? since : undefined,
        forgotten: forgotten.includes(entry),
      });
    }
  }
  return { joined, entered, exited, others };
}

/**
 * Rooms with partial state are hidden from clients that do not load members lazily.
 *
 * @returns the rooms hidden at the end of the response, and those hidden at the token but no longer
 */
async function hiddenRooms(
  rooms: Rooms,
  { since, upTo, filter }: Omit<SyncQuestion, 'rooms'>,
  present: readonly { readonly roomId: string }[],
): Promise<{ now: ReadonlySet<string>; before: ReadonlySet<string> }> {
  const [now, before] = [new Set<string>(), new Set<string>()];
  if (filter.room?.state?.lazy_load_members === true) return { now, before };
  const ids = present.map((entry) => entry.roomId);
  for (const roomId of ids) if (rooms.lacksMembers(roomId)) now.add(roomId);
  for (const [roomId, position] of await rooms.completedAfter(ids, since ?? upTo)) {
    if (position > upTo) now.add(roomId);
    else before.add(roomId);
  }
  return { now, before };
}

/**
 * Rooms that the user left and forgot since the last sync. The leave is still sent, as Synapse does: otherwise the
 * user's other devices would show the room for ever.
 */
function justForgotten(
  present: readonly { readonly roomId: string }[],
  movements: ReadonlyMap<string, Movement>,
  since: number | undefined,
): { roomId: string; membership: string; position: number }[] {
  if (since === undefined) return [];
  const known = new Set(present.map(({ roomId }) => roomId));
  return [...movements].flatMap(([roomId, { last, position }]) =>
    last === undefined || position === undefined || known.has(roomId) ? [] : [{ roomId, membership: last, position }],
  );
}

async function movementsOf(rooms: Rooms, userId: string, since: number, upTo: number): Promise<Map<string, Movement>> {
  const byRoom = new Map<string, StateChange[]>();
  for (const change of await rooms.changes.ofMember(userId, since, Number.MAX_SAFE_INTEGER)) {
    if (splitStateKey(change.key)[1] !== userId) continue;
    byRoom.set(change.roomId, [...(byRoom.get(change.roomId) ?? []), change]);
  }
  const ids = [...byRoom.values()].flat().flatMap(({ eventId, previous }) => [eventId, previous]);
  const events = await rooms.events(ids.filter((id) => id !== undefined));
  const membershipOf = (id: string | undefined): string => {
    const membership = member(events.get(id ?? '')?.pdu.content, 'membership');
    return typeof membership === 'string' ? membership : 'leave';
  };
  const movements = new Map<string, Movement>();
  for (const [roomId, changes] of byRoom) {
    const told = changes.filter((change) => change.position <= upTo);
    const next = changes.find((change) => change.position > upTo);
    const [first] = told;
    const memberships = told.map((change) => membershipOf(change.eventId));
    movements.set(roomId, {
      before: first && membershipOf(first.previous),
      after: next ? membershipOf(next.previous) : undefined,
      changed: first !== undefined,
      outside: memberships.some((membership) => membership !== 'join'),
      inside: memberships.includes('join'),
      last: memberships.at(-1),
      position: told.at(-1)?.position,
    });
  }
  return movements;
}

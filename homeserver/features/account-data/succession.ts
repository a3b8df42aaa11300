/**
 * When a room is upgraded, the settings of local users for it are copied to the new room: tags, the entry in the list
 * of direct chats, and push rules.
 *
 * @see Matrix specification, client-server API, "Room Upgrades"
 */
import type { Logger } from 'pino';
import { serverOf } from '../../../federation/event.ts';
import { isJsonObject, member } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import type { CarriedOver } from '../../engine/client/account-data-store.ts';
import type { Rooms, StoredEvent } from '../../engine/rooms/rooms.ts';
import type { AccountData } from './account-data.ts';

export interface SuccessionOptions {
  readonly serverName: string;
  readonly rooms: Rooms;
  readonly accountData: AccountData;
  readonly rules: CarriedOver;
  readonly log: Logger;
}

const TAGS = 'm.tag';
const DIRECT = 'm.direct';

/** Listens to rooms once constructed. */
export class Succession {
  readonly #options: SuccessionOptions;
  readonly #stopListening: () => void;
  #work: Promise<void> = Promise.resolve();

  constructor(options: SuccessionOptions) {
    this.#options = options;
    this.#stopListening = options.rooms.onEvent((event, { live }) => {
      const { type, state_key: key } = event.pdu;
      const isOurs = type === 'm.room.member' && key !== undefined && serverOf(key) === options.serverName;
      if (!live || event.outlier || !(isOurs || (type === 'm.room.tombstone' && key === ''))) return;
      // One after the other: this is rare, and nobody waits for it.
      this.#work = this.#work
        .then(() => (isOurs ? this.#onMember(event) : this.#onTombstone(event)))
        .catch((error: unknown) => {
          options.log.warn({ err: error, roomId: event.roomId }, 'the settings for an upgraded room were not copied');
        });
    });
  }

  /** Resolves when all copying has finished. */
  async close(): Promise<void> {
    this.#stopListening();
    await this.#work;
  }

  /** A user joins the new room. */
  async #onMember({ eventId, roomId, pdu }: StoredEvent): Promise<void> {
    const userId = pdu.state_key;
    if (userId === undefined || pdu.content['membership'] !== 'join') return;
    const { rooms } = this.#options;
    const from = predecessorOf(await rooms.stateEvent(roomId, 'm.room.create', ''));
    if (from === undefined || from === roomId) return;
    const replaced = (await rooms.changes.replacedBy([eventId])).get(eventId);
    const before = replaced === undefined ? undefined : await rooms.event(replaced);
    // A mere change of name is ignored.
    if (before?.pdu.content['membership'] === 'join') return;
    const tombstone = await rooms.stateEvent(from, 'm.room.tombstone', '');
    if (successorOf(tombstone) === roomId) await this.#carryOver(userId, from, roomId);
  }

  /** A room was upgraded: whoever did it is already in the new room. */
  async #onTombstone(event: StoredEvent): Promise<void> {
    const { rooms } = this.#options;
    const from = event.roomId;
    const to = successorOf(event);
    if (to === undefined || to === from) return;
    if (successorOf(await rooms.stateEvent(from, 'm.room.tombstone', '')) !== to) return;
    // Both rooms have to point to each other, so that neither can claim to replace any room.
    if (predecessorOf(await rooms.stateEvent(to, 'm.room.create', '')) !== from) return;
    for (const userId of await rooms.joinedLocalUsers(from)) await this.#carryOver(userId, from, to);
  }

  async #carryOver(userId: string, from: string, to: string): Promise<void> {
    const { accountData, rules } = this.#options;
    const tags = member(await accountData.get(userId, from, TAGS), 'tags');
    if (isJsonObject(tags) && Object.keys(tags).length > 0) {
      await accountData.update(userId, to, TAGS, (data) => {
        const own = member(data, 'tags');
        return { ...data, tags: { ...tags, ...(isJsonObject(own) ? own : {}) } };
      });
    }
    if (withSuccessor(await accountData.get(userId, '', DIRECT), from, to)) {
      await accountData.update(userId, '', DIRECT, (data) => withSuccessor(data, from, to) ?? data);
    }
    await rules.carryOver(userId, from, to);
  }
}

/** The list of direct chats with the new room next to the old one; undefined when nothing changes. */
function withSuccessor(direct: JsonObject | undefined, from: string, to: string): JsonObject | undefined {
  if (!direct) return undefined;
  const changed = Object.entries(direct).flatMap(([userId, roomIds]) =>
    Array.isArray(roomIds) && roomIds.includes(from) && !roomIds.includes(to)
      ? [[userId, [...(roomIds as unknown[]), to]] as const]
      : [],
  );
  return changed.length === 0 ? undefined : ({ ...direct, ...Object.fromEntries(changed) } as JsonObject);
}

function predecessorOf(create: StoredEvent | undefined): string | undefined {
  const predecessor = member(create?.pdu.content, 'predecessor');
  const roomId = isJsonObject(predecessor) ? member(predecessor, 'room_id') : undefined;
  return typeof roomId === 'string' ? roomId : undefined;
}

function successorOf(tombstone: StoredEvent | undefined): string | undefined {
  const roomId = member(tombstone?.pdu.content, 'replacement_room');
  return typeof roomId === 'string' ? roomId : undefined;
}

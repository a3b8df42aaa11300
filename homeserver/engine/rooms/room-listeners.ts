/** Listeners for what happens in rooms. */
import type { Logger } from 'pino';
import { eventId } from '../../../federation/event.ts';
import { roomVersion } from '../../../federation/room-versions.ts';
import type { Notifier } from '../stream/notifier.ts';
import type { StoredEvent } from './event-store.ts';
import type { Invitation } from './invitations.ts';

export interface EventInfo {
  /** False for history that was fetched later. */
  readonly live: boolean;
  /** An invite that this server answers itself, with a join in the same turn of the room: nobody is to be told of it. */
  readonly answered?: boolean;
}

/**
 * Called with every accepted event after it was stored, in order within a room. Its exceptions are logged and ignored.
 */
export type EventListener = (event: StoredEvent, info: EventInfo) => void;

/**
 * Called with servers that turn out to be in a room when its partial state is completed, and that we did not know of.
 */
export type ServersListener = (roomId: string, servers: readonly string[]) => void;

/** Called with rooms whose members became known after our join. */
export type MembersListener = (roomId: string) => void;

export class RoomListeners {
  readonly #notifier: Notifier;
  readonly #log: Logger;
  readonly #ofEvents = new Set<EventListener>();
  readonly #ofServers = new Set<ServersListener>();
  readonly #ofMembers = new Set<MembersListener>();

  constructor(notifier: Notifier, log: Logger) {
    this.#notifier = notifier;
    this.#log = log;
  }

  /** @returns a function that removes the listener */
  onEvent(listener: EventListener): () => void {
    return added(this.#ofEvents, listener);
  }

  /** @returns a function that removes the listener */
  onServers(listener: ServersListener): () => void {
    return added(this.#ofServers, listener);
  }

  /** @returns a function that removes the listener */
  onMembers(listener: MembersListener): () => void {
    return added(this.#ofMembers, listener);
  }

  /** Notifies of an accepted event that is stored. Does not throw. */
  emit(event: StoredEvent, info: EventInfo): void {
    const { pdu } = event;
    this.#notifier.wakeRooms([event.roomId]);
    if (pdu.type === 'm.room.member' && pdu.state_key !== undefined) this.#notifier.wakeUsers([pdu.state_key]);
    for (const listener of this.#ofEvents) {
      try {
        listener(event, info);
      } catch (error) {
        this.#log.error({ err: error, roomId: event.roomId }, 'an event listener failed');
      }
    }
  }

  /** An out-of-band membership is not an event of a room that we are in, but listeners want it as well. */
  emitInvitation(invitation: Pick<Invitation, 'roomId' | 'userId' | 'event' | 'position' | 'version'>): void {
    const version = roomVersion(invitation.version);
    if (!version) return;
    this.emit(
      {
        eventId: eventId(invitation.event, version),
        roomId: invitation.roomId,
        pdu: invitation.event,
        position: invitation.position,
        rejected: false,
        softFailed: false,
        outlier: true,
      },
      { live: true },
    );
  }

  /** Notifies of servers that turned out to be in a room. */
  emitServers(roomId: string, servers: readonly string[]): void {
    for (const listener of this.#ofServers) listener(roomId, servers);
  }

  /** Notifies that the members of a room became known. */
  emitMembers(roomId: string): void {
    for (const listener of this.#ofMembers) listener(roomId);
  }
}

function added<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

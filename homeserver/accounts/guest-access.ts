/**
 * Guest access: guests may join and take part in rooms that allow guests, and leave them when that ends.
 *
 * @see Matrix specification, client-server API, "Guest Access"
 */
import express from 'express';
import type { RequestHandler, Router } from 'express';
import type { Logger } from 'pino';
import type { Accounts } from './accounts.ts';
import { MatrixError } from '../base/errors.ts';
import type { Rooms, StoredEvent } from '../engine/rooms/rooms.ts';
import { parameter, requesterOf } from '../base/parse.ts';

export interface GuestAccessOptions {
  readonly rooms: Rooms;
  readonly accounts: Accounts;
  readonly requireSession: RequestHandler;
  /** The room of an alias; undefined for one that is unknown, or unknown to the user. */
  readonly roomOfAlias: (alias: string, userId: string) => Promise<string | undefined>;
  readonly log: Logger;
}

const GUEST_RULE = '/rooms/:roomId/state/m.room.guest_access{/:key}';

export class GuestAccess {
  readonly #options: GuestAccessOptions;
  readonly #stopListening: () => void;
  /** Rooms whose guests are being removed. */
  readonly #removals = new Map<string, Promise<void>>();

  constructor(options: GuestAccessOptions) {
    this.#options = options;
    this.#stopListening = options.rooms.onEvent((event) => {
      if (event.pdu.type !== 'm.room.guest_access' || event.pdu.state_key !== '') return;
      const { roomId } = event;
      const removal = this.#removeGuests(event)
        .catch((error: unknown) => {
          options.log.warn({ err: error }, 'guests could not be removed from a room');
        })
        .finally(() => {
          if (this.#removals.get(roomId) === removal) this.#removals.delete(roomId);
        });
      this.#removals.set(roomId, removal);
    });
  }

  /** Mounted at `/_matrix/client/v3`, before the routers of rooms. */
  guard(): Router {
    const { requireSession } = this.#options;
    const router = express.Router();
    // Aliases and rooms of other servers are unknown here, and guests must not cause requests for them.
    router.post(['/join/:room', '/rooms/:room/join'], requireSession, async (request, response, next) => {
      const { userId, guest } = requesterOf(response);
      if (guest && !(await this.#letsGuestsIn(userId, parameter(request, 'room')))) throw forbidden();
      next();
    });
    // When the response is sent, guests have already been removed.
    router.put(GUEST_RULE, (request, response, next) => {
      const json = response.json.bind(response);
      response.json = (body) => {
        // Any response is passed on, including that for a malformed room id.
        const removal = this.#removals.get(String(request.params['roomId'])) ?? Promise.resolve();
        const answer = (): void => void json(body);
        removal.then(answer, answer);
        return response;
      };
      next();
    });
    return router;
  }

  close(): void {
    this.#stopListening();
  }

  async #letsGuestsIn(userId: string, room: string): Promise<boolean> {
    const { rooms, roomOfAlias } = this.#options;
    const roomId = room.startsWith('#') ? await roomOfAlias(room, userId) : room;
    // The guest access of a remote room is unknown here.
    const event = roomId === undefined ? undefined : await rooms.stateEvent(roomId, 'm.room.guest_access', '');
    return event?.pdu.content['guest_access'] === 'can_join';
  }

  async #removeGuests({ roomId }: StoredEvent): Promise<void> {
    const { rooms, accounts } = this.#options;
    const current = await rooms.stateEvent(roomId, 'm.room.guest_access', '');
    if (current?.pdu.content['guest_access'] === 'can_join') return;
    for (const userId of await rooms.joinedUsers(roomId)) {
      if (accounts.localpart(userId) !== undefined && (await accounts.isGuest(userId))) {
        await rooms.leave(roomId, userId);
      }
    }
  }
}

function forbidden(): MatrixError {
  return new MatrixError(403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests cannot do this.');
}

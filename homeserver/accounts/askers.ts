/**
 * Decides on whose behalf requests to other servers may be sent. A request costs both sides something and names a
 * server of the user's choice, so only users with a full account may cause any: guests (anybody with a link) and
 * unauthenticated clients only reach servers in their rooms.
 *
 * Tasks run with their requester in an async context; what runs without one is the server's own, such as deliveries and
 * links. Callers need not care about this: the federation client checks every request here that is not declared to be
 * the server's own.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { OnBehalfOf } from '../../federation/client.ts';
import { MatrixError } from '../base/errors.ts';
import type { Requester } from '../base/requester.ts';
import { notForGuests } from './standing.ts';

/** The requester, looked up on demand; undefined when not logged in. */
export type Asker = () => Promise<Pick<Requester, 'userId' | 'guest'> | undefined>;

export interface AskersOptions {
  /** Whether a user shares a room with any user of that server. */
  readonly sharesRoomWith: (userId: string, server: string) => Promise<boolean>;
}

export class Askers {
  readonly #options: AskersOptions;
  readonly #running = new AsyncLocalStorage<Asker>();

  constructor(options: AskersOptions) {
    this.#options = options;
  }

  /** Runs a task on behalf of a requester, including everything that it starts. */
  run(asker: Asker, task: () => void): void {
    this.#running.run(asker, task);
  }

  /**
   * Checks whether a request to a server may be sent for the current requester.
   *
   * @param server undefined for a web server, which is in no room
   * @throws MatrixError 403 M_GUEST_ACCESS_FORBIDDEN, 401 M_MISSING_TOKEN
   */
  async require(server: string | undefined, onBehalfOf: Exclude<OnBehalfOf, 'server'>): Promise<void> {
    const asker = this.#running.getStore();
    if (!asker) return;
    const requester = await asker();
    if (requester?.guest === false) return;
    if (onBehalfOf === 'room') {
      // The setting for unauthenticated media allows requests without log-in.
      if (!requester) return;
      if (server !== undefined && (await this.#options.sharesRoomWith(requester.userId, server))) return;
    }
    throw requester ? notForGuests() : new MatrixError(401, 'M_MISSING_TOKEN', 'You are not logged in.');
  }
}

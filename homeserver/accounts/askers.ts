/**
 * For whom other servers are asked. A question of a person costs both sides something and names a server of that
 * person's choice, so that only people with an account of their own have us ask: guests, whom anybody with a link is,
 * and those who are not logged in reach nobody but the servers in whose rooms they are.
 *
 * Requests run with their asker; what runs without one is the server's own, such as deliveries and links. Whoever asks
 * other servers needs not think of this: the federation client has every request judged here that is not declared to be
 * the server's own.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { OnBehalfOf } from '../../federation/client.ts';
import { MatrixError } from '../base/errors.ts';
import type { Requester } from '../base/requester.ts';
import { notForGuests } from './standing.ts';

/** Who asks, looked up when that matters; undefined for somebody who is not logged in. */
export type Asker = () => Promise<Pick<Requester, 'userId' | 'guest'> | undefined>;

export interface AskersOptions {
  /** Whether a user is in a room together with somebody of that server. */
  readonly sharesRoomWith: (userId: string, server: string) => Promise<boolean>;
}

export class Askers {
  readonly #options: AskersOptions;
  readonly #running = new AsyncLocalStorage<Asker>();

  constructor(options: AskersOptions) {
    this.#options = options;
  }

  /** Runs what somebody has asked for, with all that it leads to. */
  run(asker: Asker, task: () => void): void {
    this.#running.run(asker, task);
  }

  /**
   * Whether a server may be asked for whoever it is that is served now.
   *
   * @param server undefined for one on the web, which is in no room
   * @throws MatrixError 403 M_GUEST_ACCESS_FORBIDDEN, 401 M_MISSING_TOKEN
   */
  async require(server: string | undefined, onBehalfOf: Exclude<OnBehalfOf, 'server'>): Promise<void> {
    const asker = this.#running.getStore();
    if (!asker) return;
    const requester = await asker();
    if (requester?.guest === false) return;
    if (onBehalfOf === 'room') {
      // Where nobody needs to be logged in is said by the setting that opens the files of rooms.
      if (!requester) return;
      if (server !== undefined && (await this.#options.sharesRoomWith(requester.userId, server))) return;
    }
    throw requester ? notForGuests() : new MatrixError(401, 'M_MISSING_TOKEN', 'You are not logged in.');
  }
}

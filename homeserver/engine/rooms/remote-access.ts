import { MatrixError } from '../../base/errors.ts';
import type { RemoteRooms } from './ports.ts';

/** The engine's way to other servers, which itself needs the engine and is given to it later. */
export class RemoteAccess {
  #remote: RemoteRooms | undefined;

  use(remote: RemoteRooms): void {
    this.#remote = remote;
  }

  /** undefined as long as there is no way to other servers. */
  find(): RemoteRooms | undefined {
    return this.#remote;
  }

  /** @throws MatrixError 502 as long as there is no way to other servers */
  require(): RemoteRooms {
    if (!this.#remote) throw new MatrixError(502, 'M_UNKNOWN', 'This server has no connection to others.');
    return this.#remote;
  }
}

import { MatrixError } from '../../base/errors.ts';
import type { RemoteRooms } from './ports.ts';

/** The engine's access to other servers. It needs the engine itself, so it is set later. */
export class RemoteAccess {
  #remote: RemoteRooms | undefined;

  use(remote: RemoteRooms): void {
    this.#remote = remote;
  }

  /** Undefined before federation is set up. */
  find(): RemoteRooms | undefined {
    return this.#remote;
  }

  /**
   * @throws MatrixError 502 before federation is set up
   *
   * @throws MatrixError 502 as long as there is no way to other servers
   */
  require(): RemoteRooms {
    if (!this.#remote) throw new MatrixError(502, 'M_UNKNOWN', 'This server is not connected to other servers yet.');
    return this.#remote;
  }
}

/** The parts of a running homeserver, and how it is closed. */
import type { Server } from 'node:http';
import type { Logger } from 'pino';

/** How long requests may continue during shutdown, in ms. */
const GRACE_MS = 2_000;

/** Running parts, closed in reverse order. */
export class Running {
  readonly #log: Logger;
  readonly #opened: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Adds a part that has to be closed. @returns it @returns it */
  add<T extends { close?(): unknown } | undefined>(part: T): T {
    this.#opened.push(() => part?.close?.());
    return part;
  }

  /** Lets a server listen. @throws the system's error */
  async listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#opened.push(() => closeServer(server));
  }

  /** May be called more than once. */
  close(): Promise<void> {
    return (this.#closing ??= this.#closeAll());
  }

  async #closeAll(): Promise<void> {
    for (const close of this.#opened.reverse()) {
      try {
        await close();
      } catch (error) {
        this.#log.warn({ err: error }, 'a part could not be closed cleanly');
      }
    }
  }
}

async function closeServer(server: Server): Promise<void> {
  const timer = setTimeout(() => server.closeAllConnections(), GRACE_MS);
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeIdleConnections();
  });
  clearTimeout(timer);
}

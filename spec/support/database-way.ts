import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SOCKET = '.s.PGSQL.5432';

/** The way to a database on a unix socket, which can be closed. */
export class DatabaseWay {
  /** For `openDatabase`. */
  readonly url: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'hansetag-way-'));
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open = true;

  /** @param databaseUrl of `testDatabase` */
  constructor(databaseUrl: string) {
    const url = new URL(databaseUrl);
    const target = join(url.searchParams.get('host') ?? '', SOCKET);
    url.searchParams.set('host', this.#folder);
    this.url = url.href;
    this.#server = createServer((near) => {
      if (!this.#open) return near.destroy();
      const far = connect(target);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
    });
    this.#server.listen(join(this.#folder, SOCKET));
  }

  shut(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  reopen(): void {
    this.#open = true;
  }

  async close(): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * The lines between servers: each server reaches each other one through a way of its own, which can be cut.
 *
 * A way is a TCP proxy. Our servers find it because the host name of the other stands for an address of its own on the
 * loopback device (HANSETAG_FEDERATION_HOSTS); Synapse asks an HTTP proxy (its setting `https_proxy`) for all of them.
 * TLS goes through untouched. For root and for everybody else it is the same.
 */
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** `refused`: connections break and new ones are refused. `stalled`: nothing gets through; what was sent comes later. */
export type LineState = 'open' | 'refused' | 'stalled';

/** From one server to another. */
export class Line {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<{ readonly near: Duplex; readonly far: Socket }>();
  #state: LineState = 'open';

  /** @param target where the other server listens */
  constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
  }

  get state(): LineState {
    return this.#state;
  }

  set(state: LineState): void {
    this.#state = state;
    for (const pair of this.#pairs) {
      if (state === 'refused') {
        pair.near.destroy();
        pair.far.destroy();
      } else
        for (const end of [pair.near, pair.far])
          if (state === 'stalled') end.pause();
          else end.resume();
    }
  }

  /** Takes a connection of the one that wants to reach the other. */
  carry(near: Duplex, first: Buffer = Buffer.alloc(0)): void {
    if (this.#state === 'refused') {
      near.destroy();
      return;
    }
    const far = connect(this.#target);
    const pair = { near, far };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const stream of [near, far]) {
      stream.on('error', end);
      stream.on('close', end);
    }
    if (first.length > 0) far.write(first);
    // A stalled line takes what the kernel has room for, and no more.
    near.on('data', (data: Buffer) => far.write(data));
    far.on('data', (data: Buffer) => near.write(data));
    near.on('end', () => far.end());
    far.on('end', () => near.end());
    if (this.#state === 'stalled') {
      near.pause();
      far.pause();
    }
  }
}

/** Listens for connections that take a line. @returns the way to end it */
export async function listenFor(line: Line, host: string, port: number): Promise<() => Promise<void>> {
  const server = createServer({ allowHalfOpen: true }, (socket) => line.carry(socket));
  await listen(server, host, port);
  return () => close(server, line);
}

/**
 * Listens for CONNECT requests that name where they want to go.
 *
 * @param lines by server name, that is host and port
 */
export async function listenForAll(
  lines: ReadonlyMap<string, Line>,
  host: string,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createHttpServer();
  server.on('connect', (request, socket, head) => {
    const line = lines.get(request.url ?? '');
    if (!line || line.state === 'refused') {
      socket.destroy();
      return;
    }
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    line.carry(socket, head);
  });
  await listen(server, host, 0);
  return {
    url: `http://${host}:${String((server.address() as AddressInfo).port)}`,
    close: () => close(server, ...lines.values()),
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}

async function close(server: Server, ...lines: readonly Line[]): Promise<void> {
  for (const line of lines) line.set('refused');
  await new Promise((resolve) => server.close(resolve));
}

/**
 * The control connection of the homeserver: a WebSocket on a unix socket (or loopback TCP), opened with the shared
 * secret. One homeserver at a time: a new connection replaces the old one, which may be that of a dead process. After
 * the last one is gone, media continues for the grace period, then everything is closed.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import type { ControlAddress } from './address.ts';
import { SfuError } from './errors.ts';
import { toErrorBody } from './failure.ts';
import type { Notify } from './host.ts';
import { MAX_REQUEST_BYTES } from './protocol.ts';
import { requestSchema } from './requests.ts';

/** A homeserver that does not read must not fill our memory: it is disconnected and repairs its state on reconnect. */
const MAX_UNSENT_BYTES = 16_777_216;
/** How long an idle connection waits for a ping, and for its pong, before it is closed, in ms. */
const PING_EVERY_MS = 5000;

export interface ControlServerOptions {
  readonly control: ControlAddress;
  readonly secret: string;
  readonly orphanGraceMs: number;
  readonly log: Logger;
  /** Handles a request; the first one of each connection has to be `hello`. */
  readonly handle: (method: string, params: unknown) => Promise<unknown>;
  /** Called when no homeserver has reconnected within the grace period. */
  readonly onOrphaned: () => void;
}

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #http: Server = createServer((_request, response) => response.writeHead(404).end());
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_REQUEST_BYTES,
    perMessageDeflate: false,
    // Otherwise all requests of a packet are handled before anything else.
    allowSynchronousEvents: false,
  });
  #current: WebSocket | undefined;
  /** Whether the current connection has said hello; before that it gets no notifications. */
  #greeted = false;
  #orphanTimer: NodeJS.Timeout | undefined;

  private constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** @throws Error if the address is in use, or another SFU listens on the socket */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const { control } = options;
    const server = new ControlServer(options);
    if ('path' in control) await removeStale(control.path);
    server.#http.listen(control);
    await once(server.#http, 'listening');
    if ('path' in control) await chmod(control.path, 0o600);
    server.#awaitHomeserver();
    return server;
  }

  /** Notifies the homeserver, if connected; what happens while it is not is in the next snapshot. */
  readonly notify: Notify = (notification, data) => {
    if (this.#current && this.#greeted) this.#send(this.#current, { notification, data });
  };

  async close(): Promise<void> {
    clearTimeout(this.#orphanTimer);
    this.#current = undefined;
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
    const closed = once(this.#http, 'close');
    this.#http.close();
    this.#http.closeAllConnections();
    await closed;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (!this.#isHomeserver(request.headers.authorization)) {
      this.#options.log.warn('control: refused a connection without the secret');
      socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#accept(webSocket));
  }

  /** Compares hashes, so that neither timing nor length reveals anything about the secret. */
  #isHomeserver(authorization = ''): boolean {
    const hash = (text: string) => createHash('sha256').update(text).digest();
    return timingSafeEqual(hash(authorization), hash(`Bearer ${this.#options.secret}`));
  }

  #accept(socket: WebSocket): void {
    const { log } = this.#options;
    const replaced = this.#current;
    this.#current = socket;
    this.#greeted = false;
    clearTimeout(this.#orphanTimer);
    replaced?.close(1008, 'replaced');
    log.info({ replaced: replaced !== undefined }, 'control: homeserver connected');

    let alive = true;
    const ping = setInterval(() => {
      if (!alive) socket.terminate();
      alive = false;
      socket.ping();
    }, PING_EVERY_MS);
    socket.on('pong', () => (alive = true));
    socket.on('message', (data, isBinary) => {
      alive = true;
      this.#receive(socket, data, isBinary).catch((error: unknown) => {
        log.error({ err: error }, 'control: a message was not handled');
      });
    });
    socket.on('error', (error) => log.warn({ err: error }, 'control: connection failed'));
    socket.on('close', () => {
      clearInterval(ping);
      if (this.#current !== socket) return;
      this.#current = undefined;
      log.warn('control: homeserver gone');
      this.#awaitHomeserver();
    });
  }

  /** Never rejects: every input gets a message as response. */
  async #receive(socket: WebSocket, data: RawData, isBinary: boolean): Promise<void> {
    if (socket !== this.#current) return;
    const request = requestSchema.safeParse(isBinary ? undefined : parseJson(data));
    if (!request.success) {
      // Without an id there is no request to respond to.
      this.#options.log.warn('control: malformed message');
      socket.close(1008, 'malformed message');
      return;
    }
    const { id, method, params } = request.data;
    try {
      if (!this.#greeted && method !== 'hello') throw new SfuError('bad-request', 'the first request is hello');
      const result = await this.#options.handle(method, params);
      this.#send(socket, { id, result });
      if (method === 'hello' && socket === this.#current) this.#greeted = true;
    } catch (error) {
      const body = toErrorBody(error);
      const { log } = this.#options;
      if (body.code === 'exhausted') log.warn({ method, reason: body.message }, 'control: no room for more');
      if (body.code === 'internal') log.error({ err: error, method }, 'control: request failed');
      this.#send(socket, { id, error: body });
    }
  }

  #send(socket: WebSocket, message: object): void {
    if (socket.bufferedAmount > MAX_UNSENT_BYTES) {
      this.#options.log.error('control: the homeserver does not read');
      socket.terminate();
      return;
    }
    socket.send(JSON.stringify(message), () => undefined);
  }

  #awaitHomeserver(): void {
    clearTimeout(this.#orphanTimer);
    this.#orphanTimer = setTimeout(() => this.#options.onOrphaned(), this.#options.orphanGraceMs);
    this.#orphanTimer.unref();
  }
}

function parseJson(data: RawData): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    return undefined;
  }
}

/**
 * Removes the socket file of a crashed process, and nothing else.
 *
 * @throws SfuError conflict if another process still listens on it, or it is no socket
 */
async function removeStale(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined);
  if (!there) return;
  // To connect to a file is refused just as to connect to the socket of a dead process is.
  if (!there.isSocket()) throw new SfuError('conflict', 'the path of the control socket is that of a file');
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ECONNREFUSED') await unlink(path);
    return;
  } finally {
    socket.destroy();
  }
  throw new SfuError('conflict', 'another SFU listens on the control socket');
}

/** The WebSocket endpoint of the session protocol: hello, resumption, request frames, rate and liveness. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import {
  type Method,
  type Organisation,
  requestFrameSchema,
  requests,
  SESSION_MAX_FRAME,
  SESSION_VERSION,
} from '../../../protocol/session.ts';
import type { Sessions } from '../../accounts/sessions.ts';
import type { Conferences } from '../conference/conferences.ts';
import { ProtocolFailure, protocolError } from './failure.ts';
import { requestHandlers, type RequestDeps } from './requests.ts';
import { Session } from './session.ts';

export const SESSION_PATH = '/_hansetag/client/v1/session';

/** A new connection must say hello within this time, in ms. */
const HELLO_MS = 10_000;
/** Liveness: a ping each interval; one without an answer closes the connection, in ms. */
const PING_MS = 4_000;
/** Requests per second and the burst; what comes faster waits, nothing is lost. */
const RATE = 40;
const BURST = 150;

interface SessionServerOptions extends RequestDeps {
  sessions: Sessions;
  conferences: Conferences;
  organisation: Organisation;
  /** Origins of web pages that may open a session, besides clients that are no web pages. */
  allowedOrigins: readonly string[];
  log: Logger;
}

export class SessionServer {
  readonly #options: SessionServerOptions;
  readonly #handlers;
  readonly #live = new Map<string, Session>();
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: SESSION_MAX_FRAME });
  readonly #stopListening: () => void;
  readonly #servers = new Set<Server>();
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.#upgrade(request, socket, head);
  };

  constructor(options: SessionServerOptions) {
    this.#options = options;
    this.#handlers = requestHandlers(options);
    this.#stopListening = options.sessions.onEnd((userId, deviceId) => void this.#signedOut(userId, deviceId));
  }

  attach(server: Server): void {
    server.on('upgrade', this.#onUpgrade);
    this.#servers.add(server);
  }

  /** Sessions that are open now. */
  *all(): Iterable<Session> {
    yield* this.#live.values();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Node takes its own listener off before it hands the socket over; a reset would end the process.
    socket.on('error', () => socket.destroy());
    const path = (request.url ?? '').split('?', 1)[0];
    const origin = request.headers.origin;
    if (path !== SESSION_PATH) refuse(socket, '404 Not Found');
    else if (origin !== undefined && !this.#options.allowedOrigins.includes(origin)) refuse(socket, '403 Forbidden');
    else {
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#connected(webSocket));
    }
  }

  #connected(socket: WebSocket): void {
    let session: Session | undefined;
    let greeting = false;
    let alive = true;
    const hello = setTimeout(() => socket.close(4000, 'no hello'), HELLO_MS);
    const ping = setInterval(() => {
      if (!alive) return socket.terminate();
      alive = false;
      socket.ping();
    }, PING_MS);
    let budget = BURST;
    let refilled = Date.now();
    const spend = (): void => {
      const now = Date.now();
      budget = Math.min(BURST, budget + ((now - refilled) * RATE) / 1000) - 1;
      refilled = now;
      if (budget >= 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), (-budget * 1000) / RATE);
    };
    socket.on('pong', () => {
      alive = true;
    });
    socket.on('message', (data, binary) => {
      alive = true;
      spend();
      if (session) {
        void this.#onFrame(session, data, binary, socket);
        return;
      }
      if (greeting) return socket.close(4000, 'hello is under way');
      greeting = true;
      this.#hello(socket, data, binary).then(
        (made) => {
          clearTimeout(hello);
          session = made;
          if (socket.readyState !== socket.OPEN) this.#dropped(made, socket);
        },
        () => socket.close(4003, 'refused'),
      );
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      clearTimeout(hello);
      clearInterval(ping);
      if (session) this.#dropped(session, socket);
    });
  }

  /** The first frame: who is it, and does it come back to a session that is still there? */
  async #hello(socket: WebSocket, data: RawData, binary: boolean): Promise<Session> {
    const { sessions, organisation } = this.#options;
    let id = 0;
    try {
      const frame = parseFrame(data, binary);
      id = frame.id;
      if (frame.method !== 'hello') throw new ProtocolFailure('bad-request', 'The first request must be hello.');
      const params = requests.hello.params.parse(frame.params);
      if (params.version !== SESSION_VERSION) {
        throw new ProtocolFailure('unsupported-version', `This server speaks version ${String(SESSION_VERSION)}.`);
      }
      const requester = await sessions.authenticate(params.accessToken);
      if (requester.suspended) throw new ProtocolFailure('forbidden', 'Your account is suspended.');
      const { userId, deviceId, guest } = requester;
      const old = params.resume && this.#live.get(params.resume.sessionId);
      const resumable =
        old?.owner.userId === userId &&
        old.owner.deviceId === deviceId &&
        old.canResume(params.resume?.lastSeq ?? Infinity);
      const session = resumable
        ? old
        : new Session({ userId, deviceId, guest }, (expired) => void this.#expired(expired));
      this.#live.set(session.sessionId, session);
      session.attach(socket);
      session.answer(id, {
        sessionId: session.sessionId,
        userId,
        deviceId,
        displayName: requester.displayName,
        organisation,
        resumed: resumable,
        guest,
      });
      if (resumable) {
        session.replay(params.resume?.lastSeq ?? 0);
        if (session.place) this.#options.conferences.sessionResumed(session.place.conference, session.place.local);
      }
      return session;
    } catch (error) {
      socket.send(JSON.stringify({ id, error: this.#report(error, 'hello') }));
      throw error;
    }
  }

  async #onFrame(session: Session, data: RawData, binary: boolean, socket: WebSocket): Promise<void> {
    let id = 0;
    let method = 'unreadable';
    try {
      const frame = parseFrame(data, binary);
      ({ id, method } = frame);
      session.answer(id, await this.#call(session, frame.method, frame.params));
    } catch (error) {
      const report = this.#report(error, method);
      if (id === 0) socket.close(4002, 'malformed frame');
      else session.refuse(id, report);
    }
  }

  async #call<M extends Method>(session: Session, method: M, params: unknown): Promise<unknown> {
    if (method === 'hello') throw new ProtocolFailure('conflict', 'The session has begun.');
    const handler = this.#handlers[method as Exclude<M, 'hello'>] as (session: Session, params: unknown) => unknown;
    return await handler(session, requests[method].params.parse(params));
  }

  #report(error: unknown, method: string): ReturnType<typeof protocolError> {
    const report = protocolError(error);
    const level = report.code === 'internal' ? 'error' : 'debug';
    this.#options.log[level]({ err: error, method, reference: report.reference }, 'session: a request failed');
    return report;
  }

  #dropped(session: Session, socket: WebSocket): void {
    if (!session.detach(socket)) return;
    const { place } = session;
    // The session's own expiry ends the place; the participant is only shown as reconnecting here.
    if (place && place.local.notifier === session) {
      this.#options.conferences.sessionDropped(place.conference, place.local);
    }
  }

  async #expired(session: Session): Promise<void> {
    this.#live.delete(session.sessionId);
    const { place } = session;
    if (place && place.local.notifier === session) {
      await this.#options.conferences.leave(place.conference, place.local, 'lost');
    }
  }

  async #signedOut(userId: string, deviceId: string): Promise<void> {
    for (const session of [...this.#live.values()]) {
      if (session.owner.userId !== userId || session.owner.deviceId !== deviceId) continue;
      this.#live.delete(session.sessionId);
      if (session.place) {
        session.notify('conference.ended', { reason: 'signed-out' });
        await this.#options.conferences.leave(session.place.conference, session.place.local, 'left');
      }
      session.close(4003, 'signed out');
    }
  }

  async close(): Promise<void> {
    this.#stopListening();
    for (const server of this.#servers) server.off('upgrade', this.#onUpgrade);
    for (const session of this.#live.values()) session.close(1012, 'the server restarts');
    this.#live.clear();
    for (const socket of this.#sockets.clients) socket.terminate();
    await new Promise<void>((resolve) => {
      this.#sockets.close(() => resolve());
    });
  }
}

/** Answers an upgrade and closes the connection, whether or not the other side closes its half. */
function refuse(socket: Duplex, status: string): void {
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function parseFrame(data: RawData, binary: boolean): { id: number; method: Method; params: unknown } {
  if (binary) throw new ProtocolFailure('bad-request', 'Frames are text.');
  let json: unknown;
  try {
    json = JSON.parse((data as Buffer).toString('utf8'));
  } catch {
    throw new ProtocolFailure('bad-request', 'The frame is not JSON.');
  }
  return requestFrameSchema.parse(json);
}

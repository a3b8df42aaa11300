/** The WebSocket endpoint of the session protocol: hello, resumption, request frames, rate and liveness. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
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
import { DEPTH, parseWithAnyNumbers } from '../../../federation/json.ts';
import { displayName } from '../../../protocol/display-text.ts';
import type { Sessions } from '../../accounts/sessions.ts';
import { SESSIONS_OF_DEVICE } from '../../base/limits.ts';
import { localpartOf } from '../people.ts';
import type { Conferences } from '../conference/conferences.ts';
import { ProtocolFailure, protocolError } from './failure.ts';
import { Allowance, FrameGate } from './frame-gate.ts';
import { requestHandlers, type RequestDeps } from './requests.ts';
import { Session } from './session.ts';
import { unexpected } from '../../base/log.ts';

export const SESSION_PATH = '/_hansetag/client/v1/session';

/** A new connection must say hello within this time, in ms. */
const HELLO_MS = 10_000;
/** Liveness: a ping each interval; one without an answer closes the connection, in ms. */
const PING_MS = 4_000;
/** So long the end waits for requests that are being answered. */
const CLOSE_MS = 5_000;

interface SessionServerOptions extends RequestDeps {
  sessions: Sessions;
  conferences: Conferences;
  organisation: Organisation;
  /** The name to show for a server. */
  organisationName: (server: string) => string;
  /** Origins of web pages that may open a session, besides clients that are no web pages. */
  allowedOrigins: readonly string[];
  log: Logger;
}

export class SessionServer {
  readonly #options: SessionServerOptions;
  readonly #handlers;
  readonly #live = new Map<string, Session>();
  /** What each device may still ask, while it has a session. */
  readonly #allowances = new Map<string, Allowance>();
  readonly #greetings = new Set<Set<string>>();
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: SESSION_MAX_FRAME,
    // Else all frames of a packet are read before anybody else is served.
    allowSynchronousEvents: false,
  });
  readonly #stopListening: () => void;
  readonly #servers = new Set<Server>();
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.#upgrade(request, socket, head);
  };

  /** Requests that are being answered. */
  readonly #underWay = new Set<Promise<void>>();
  readonly #unexpected: (error: unknown) => void;

  constructor(options: SessionServerOptions) {
    this.#options = options;
    this.#unexpected = unexpected(options.log, 'session: it was not ended as it should be');
    this.#handlers = requestHandlers(options);
    this.#stopListening = options.sessions.onEnd((userId, deviceId) => {
      this.#signedOut(userId, deviceId).catch(this.#unexpected);
    });
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
    let gate: FrameGate | undefined;
    socket.on('pong', () => {
      alive = true;
    });
    socket.on('message', (data, binary) => {
      alive = true;
      if (gate) return gate.push(data, binary);
      if (greeting) return socket.close(4000, 'hello is under way');
      greeting = true;
      this.#hello(socket, data, binary).then(
        (made) => {
          clearTimeout(hello);
          session = made;
          if (socket.readyState !== socket.OPEN) return this.#dropped(made, socket);
          gate = new FrameGate(socket, this.#allowanceOf(made), (frame, isBinary) => {
            const answered = this.#onFrame(made, frame, isBinary, socket).finally(() =>
              this.#underWay.delete(answered),
            );
            this.#underWay.add(answered);
            return answered;
          });
        },
        () => socket.close(4003, 'refused'),
      );
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      clearTimeout(hello);
      clearInterval(ping);
      gate?.close();
      if (session) this.#dropped(session, socket);
    });
  }

  /** The first frame: who is it, and does it come back to a session that is still there? */
  async #hello(socket: WebSocket, data: RawData, binary: boolean): Promise<Session> {
    const { sessions, organisation } = this.#options;
    let id = 0;
    // Devices that are logged out while this looks whether they are logged in.
    const ended = new Set<string>();
    this.#greetings.add(ended);
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
      if (ended.has(deviceKey({ userId, deviceId }))) throw new ProtocolFailure('unauthorised', 'You were logged out.');
      const old = params.resume && this.#live.get(params.resume.sessionId);
      const resumable =
        old?.owner.userId === userId &&
        old.owner.deviceId === deviceId &&
        old.canResume(params.resume?.lastSeq ?? Infinity);
      const session = resumable
        ? old
        : new Session({ userId, deviceId, guest }, (expired) => {
            this.#expired(expired).catch(this.#unexpected);
          });
      if (!resumable) this.#add(session);
      session.attach(socket);
      session.answer(id, {
        sessionId: session.sessionId,
        userId,
        deviceId,
        displayName: displayName(requester.displayName) ?? localpartOf(userId),
        organisation,
        resumed: resumable,
        guest,
      });
      if (resumable) {
        session.replay(params.resume?.lastSeq ?? 0);
        this.#options.conferences.sessionResumed(session);
      }
      return session;
    } catch (error) {
      socket.send(JSON.stringify({ id, error: this.#report(error, 'hello') }), () => undefined);
      throw error;
    } finally {
      this.#greetings.delete(ended);
    }
  }

  /** The oldest session of a device that has too many makes room. */
  #add(session: Session): void {
    const key = deviceKey(session.owner);
    const others = [...this.#live.values()].filter(({ owner }) => deviceKey(owner) === key);
    const [oldest] = others;
    if (oldest && others.length >= SESSIONS_OF_DEVICE) {
      oldest.close(4001, 'too many sessions');
      this.#expired(oldest).catch(this.#unexpected);
    }
    this.#live.set(session.sessionId, session);
  }

  #allowanceOf({ owner }: Session): Allowance {
    const key = deviceKey(owner);
    const allowance = this.#allowances.get(key) ?? new Allowance();
    this.#allowances.set(key, allowance);
    return allowance;
  }

  #forget(session: Session): void {
    this.#live.delete(session.sessionId);
    const key = deviceKey(session.owner);
    for (const { owner } of this.#live.values()) if (deviceKey(owner) === key) return;
    this.#allowances.delete(key);
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
    const report = protocolError(error, this.#options.organisationName);
    const level = report.code === 'internal' ? 'error' : 'debug';
    this.#options.log[level]({ err: error, method, reference: report.reference }, 'session: a request failed');
    return report;
  }

  /** The session's own expiry ends the place; the participant is only shown as reconnecting here. */
  #dropped(session: Session, socket: WebSocket): void {
    if (session.detach(socket)) this.#options.conferences.sessionDropped(session);
  }

  /** Never rejects. */
  async #expired(session: Session): Promise<void> {
    this.#forget(session);
    this.#options.waiting.stop(session);
    await this.#options.conferences.seats.leaveAs(session, 'lost');
  }

  /** A device was logged out: its places end at once, also those whose session is gone. Never rejects. */
  async #signedOut(userId: string, deviceId: string): Promise<void> {
    const key = deviceKey({ userId, deviceId });
    for (const ended of this.#greetings) ended.add(key);
    const removed = this.#options.conferences.endDevice(userId, deviceId);
    for (const session of [...this.#live.values()]) {
      if (deviceKey(session.owner) !== key) continue;
      this.#forget(session);
      session.close(4003, 'signed out');
      this.#options.waiting.stop(session);
      // A place on the way in may not have been found by its device yet.
      this.#options.conferences.seats.leaveAs(session, 'left').catch(this.#unexpected);
    }
    await removed;
  }

  /** Ends all sessions. Requests that are under way get some seconds to be done. */
  async close(): Promise<void> {
    this.#stopListening();
    for (const server of this.#servers) server.off('upgrade', this.#onUpgrade);
    for (const session of this.#live.values()) session.close(1012, 'the server restarts');
    this.#live.clear();
    for (const socket of this.#sockets.clients) socket.terminate();
    await new Promise<void>((resolve) => {
      this.#sockets.close(() => resolve());
    });
    // What they need is closed next.
    await Promise.race([Promise.allSettled(this.#underWay), pause(CLOSE_MS, undefined, { ref: false })]);
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
    json = parseWithAnyNumbers((data as Buffer).toString('utf8'), DEPTH.written);
  } catch {
    throw new ProtocolFailure('bad-request', 'The frame is not JSON.');
  }
  return requestFrameSchema.parse(json);
}

function deviceKey({ userId, deviceId }: { userId: string; deviceId: string }): string {
  return `${userId} ${deviceId}`;
}

/**
 * A session: the place of one client on its homeserver, which outlives a dropped WebSocket for a while. It numbers
 * notifications and keeps the last ones until the client has had time to come back for them.
 */
import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import {
  type NotificationData,
  type NotificationName,
  type ProtocolError,
  SESSION_GRACE_MS,
} from '../../../protocol/session.ts';
import type { Conference } from '../conference/conference.ts';
import type { LocalParticipant, Notifier } from '../conference/local-participant.ts';

/** Notifications kept for a client that comes back; older ones make it join anew. */
const KEPT = 500;
/** A client that reads slower than this many bytes behind is cut off: it can resume. */
const MAX_BUFFERED = 4 * 1024 * 1024;

export interface SessionOwner {
  userId: string;
  deviceId: string;
  guest: boolean;
}

export class Session implements Notifier {
  readonly sessionId = randomUUID();
  readonly owner: SessionOwner;
  /** The conference that this session is in. */
  place: { conference: Conference; local: LocalParticipant } | undefined;
  #socket: WebSocket | undefined;
  #seq = 0;
  readonly #kept: { seq: number; frame: string }[] = [];
  #expiry: NodeJS.Timeout | undefined;
  readonly #onExpired: (session: Session) => void;

  constructor(owner: SessionOwner, onExpired: (session: Session) => void) {
    this.owner = owner;
    this.#onExpired = onExpired;
  }

  /** Can the client get all notifications after `lastSeq`? */
  canResume(lastSeq: number): boolean {
    const first = this.#kept[0]?.seq ?? this.#seq + 1;
    return lastSeq <= this.#seq && lastSeq + 1 >= first;
  }

  /** A WebSocket takes the session; an older one is closed. */
  attach(socket: WebSocket): void {
    clearTimeout(this.#expiry);
    const old = this.#socket;
    this.#socket = socket;
    old?.close(4001, 'taken over');
  }

  /** Sends again what the client has not seen. */
  replay(lastSeq: number): void {
    for (const { seq, frame } of this.#kept) if (seq > lastSeq) this.#write(frame);
  }

  /** The WebSocket closed. True when it was the current one; the session then waits for the client. */
  detach(socket: WebSocket): boolean {
    if (this.#socket !== socket) return false;
    this.#socket = undefined;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#onExpired(this), SESSION_GRACE_MS);
    return true;
  }

  notify<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    this.#seq += 1;
    const frame = JSON.stringify({ seq: this.#seq, notification: name, data });
    this.#kept.push({ seq: this.#seq, frame });
    if (this.#kept.length > KEPT) this.#kept.shift();
    this.#write(frame);
  }

  answer(id: number, result: unknown): void {
    this.#write(JSON.stringify({ id, result }));
  }

  refuse(id: number, error: ProtocolError): void {
    this.#write(JSON.stringify({ id, error }));
  }

  #write(frame: string): void {
    const socket = this.#socket;
    if (socket?.readyState !== socket?.OPEN || !socket) return;
    if (socket.bufferedAmount > MAX_BUFFERED) socket.terminate();
    else socket.send(frame);
  }

  /** Ends the session for good. */
  close(code: number, reason: string): void {
    clearTimeout(this.#expiry);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(code, reason);
  }
}

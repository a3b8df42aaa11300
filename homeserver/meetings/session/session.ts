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
import { KEPT_NOTIFICATION_BYTES, KEPT_NOTIFICATIONS, UNREAD_BYTES } from '../../base/limits.ts';
import { type Notification, type Notifier, notification } from '../conference/notification.ts';

export interface SessionOwner {
  userId: string;
  deviceId: string;
  guest: boolean;
}

export class Session implements Notifier {
  readonly sessionId = randomUUID();
  readonly owner: SessionOwner;
  #socket: WebSocket | undefined;
  #seq = 0;
  readonly #kept: { readonly seq: number; readonly notification: Notification }[] = [];
  #keptBytes = 0;
  #ended = false;
  #expiry: NodeJS.Timeout | undefined;
  readonly #onExpired: (session: Session) => void;

  constructor(owner: SessionOwner, onExpired: (session: Session) => void) {
    this.owner = owner;
    this.#onExpired = onExpired;
  }

  get attached(): boolean {
    return this.#socket !== undefined;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Can the client get all notifications after `lastSeq`? */
  canResume(lastSeq: number): boolean {
    if (this.#ended) return false;
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
    for (const { seq, notification: kept } of this.#kept) if (seq > lastSeq) this.#write(frameOf(seq, kept));
  }

  /** The WebSocket closed. True when it was the current one; the session then waits for the client. */
  detach(socket: WebSocket): boolean {
    if (this.#socket !== socket) return false;
    this.#socket = undefined;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => {
      this.#ended = true;
      this.#onExpired(this);
    }, SESSION_GRACE_MS);
    return true;
  }

  notify<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    this.tell(notification(name, data));
  }

  tell(told: Notification): void {
    if (this.#ended) return;
    this.#seq += 1;
    this.#kept.push({ seq: this.#seq, notification: told });
    this.#keptBytes += told.bytes;
    while (this.#kept.length > KEPT_NOTIFICATIONS || this.#keptBytes > KEPT_NOTIFICATION_BYTES) {
      this.#keptBytes -= this.#kept.shift()?.notification.bytes ?? 0;
    }
    this.#write(frameOf(this.#seq, told));
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
    if (socket.bufferedAmount > UNREAD_BYTES) socket.terminate();
    else socket.send(frame);
  }

  /** Ends the session for good. */
  close(code: number, reason: string): void {
    this.#ended = true;
    this.#kept.length = 0;
    this.#keptBytes = 0;
    clearTimeout(this.#expiry);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(code, reason);
  }
}

function frameOf(seq: number, { text }: Notification): string {
  return `{"seq":${String(seq)},${text}`;
}

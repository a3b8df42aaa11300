/** Notifications to clients, written once however many sessions get them. */
import type { NotificationData, NotificationName } from '../../../protocol/session.ts';

export interface Notification {
  /** The frame but for its beginning, where each session puts its own number. */
  readonly text: string;
  /** Size of the text in bytes. */
  readonly bytes: number;
}

/** Where notifications for a participant go: its session, which holds the seat. */
export interface Notifier {
  notify<N extends NotificationName>(name: N, data: NotificationData<N>): void;
  /** The same for one that goes to others as well. */
  tell(notification: Notification): void;
  /** Whether a client is connected to it now. */
  readonly attached: boolean;
  /** It ended for good: it can hold no seat any more. */
  readonly ended: boolean;
}

export function notification<N extends NotificationName>(name: N, data: NotificationData<N>): Notification {
  const text = `"notification":${JSON.stringify(name)},"data":${JSON.stringify(data)}}`;
  return { text, bytes: Buffer.byteLength(text) };
}

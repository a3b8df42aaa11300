/** Notifications to clients, written once however many sessions get them. */
import type { NotificationData, NotificationName } from '../../../protocol/session.ts';

export interface Notification {
  /** The frame but for its beginning, where each session puts its own number. */
  readonly text: string;
  /** Size of the text in bytes. */
  readonly bytes: number;
}

export function notification<N extends NotificationName>(name: N, data: NotificationData<N>): Notification {
  const text = `"notification":${JSON.stringify(name)},"data":${JSON.stringify(data)}}`;
  return { text, bytes: Buffer.byteLength(text) };
}

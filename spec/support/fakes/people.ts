/** People in a conference, for specs of one part: sessions that write down what they are told, seats, memberships. */
import { LocalParticipant } from '../../../homeserver/meetings/conference/local-participant.ts';
import { type CallMembership, participantIdOf } from '../../../homeserver/meetings/conference/membership.ts';
import type { Notification, Notifier } from '../../../homeserver/meetings/conference/notification.ts';
import type { Person } from '../../../homeserver/meetings/conference/room-facts.ts';
import type { NotificationData, NotificationName } from '../../../protocol/session.ts';

/** A session that does nothing but listen. */
export class FakeSession implements Notifier {
  readonly told: { readonly name: NotificationName; readonly data: unknown }[] = [];
  attached = true;
  ended = false;

  notify<N extends NotificationName>(name: N, data: NotificationData<N>): void {
    this.told.push({ name, data: structuredClone(data) });
  }

  tell({ text }: Notification): void {
    const { notification, data } = JSON.parse(`{${text}`) as { notification: NotificationName; data: unknown };
    this.told.push({ name: notification, data });
  }

  get names(): NotificationName[] {
    return this.told.map(({ name }) => name);
  }

  heard<N extends NotificationName>(name: N): NotificationData<N>[] {
    return this.told.filter((each) => each.name === name).map(({ data }) => data as NotificationData<N>);
  }

  /** What it was told since the last time it was asked. */
  take(): { readonly name: NotificationName; readonly data: unknown }[] {
    return this.told.splice(0);
  }
}

/** A participant of ours who is here, with a session of its own. */
export function seated(
  userId: string,
  deviceId = 'DESK',
): { local: LocalParticipant; session: FakeSession; holds: { released: number } } {
  const session = new FakeSession();
  const holds = { released: 0 };
  const local = new LocalParticipant({
    participantId: participantIdOf(userId, deviceId),
    userId,
    deviceId,
    guest: false,
    displayName: '',
    joinedAt: 1_000,
    state: { kind: 'here', hold: { release: () => (holds.released += 1) }, notifier: session },
  });
  return { local, session, holds };
}

/** The membership of somebody of another organisation. */
export function membership(userId: string, changes: Partial<CallMembership> = {}): CallMembership {
  const deviceId = changes.deviceId ?? 'DESK';
  return {
    participantId: participantIdOf(userId, deviceId),
    userId,
    deviceId,
    joinedAt: 2_000,
    expiresAt: 1_000_000,
    guest: false,
    ...changes,
  };
}

export function person(displayName: string, changes: Partial<Person> = {}): Person {
  return { displayName, role: 'participant', guest: false, ...changes };
}

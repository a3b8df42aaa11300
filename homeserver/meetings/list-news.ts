/** Tells people who are looking at their list of meetings what is new there, so that they see it without asking. */
import type { Logger } from 'pino';
import type { InvitationResult } from '../../protocol/session.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import type { Conferences } from './conference/conferences.ts';
import type { Session } from './session/session.ts';

export interface ListNewsDeps {
  readonly rooms: Pick<Rooms, 'membership'>;
  readonly conferences: Pick<Conferences, 'seats'>;
  /** All sessions that there are now. */
  sessions(): Iterable<Session>;
  readonly log: Logger;
}

export class ListNews {
  readonly #deps: ListNewsDeps;

  constructor(deps: ListNewsDeps) {
    this.#deps = deps;
  }

  /** What the list shows of a meeting changed. Told in the background to its people, but not while in a conference. */
  meetingChanged(roomId: string): void {
    this.#tellMembers(roomId).catch((error: unknown) =>
      this.#deps.log.warn({ err: error, roomId }, 'a list was not updated'),
    );
  }

  /** Somebody was invited to a meeting, entered or left it. */
  membershipChanged(userId: string): void {
    for (const session of this.#sessionsOf(userId)) session.notify('meetings.changed', {});
  }

  /** An invitation that was answered as pending has come to an end. */
  invitationFinished(sender: string, roomId: string, result: InvitationResult): void {
    for (const session of this.#sessionsOf(sender)) session.notify('invitation.finished', { roomId, ...result });
  }

  async #tellMembers(roomId: string): Promise<void> {
    const { rooms, conferences, sessions } = this.#deps;
    for (const session of sessions()) {
      if (conferences.seats.of(session)) continue;
      const membership = await rooms.membership(roomId, session.owner.userId).catch(() => undefined);
      if (membership === 'join') session.notify('meetings.changed', {});
    }
  }

  *#sessionsOf(userId: string): Iterable<Session> {
    for (const session of this.#deps.sessions()) if (session.owner.userId === userId) yield session;
  }
}

/** A8: what is kept for a client that may come back is bounded by its size. */
import { notification } from '../../homeserver/meetings/conference/notification.ts';
import { Session } from '../../homeserver/meetings/session/session.ts';

const owner = { userId: '@bert:luebeck.example', deviceId: 'LAPTOP', guest: false };
const LONG = 64_000;

describe('A8: notifications that are kept for a client that comes back', () => {
  it('are the last ones, 256 KiB of them, however long each is', () => {
    const session = new Session(owner, () => undefined);
    const told = notification('conference.ended', { reason: 'x'.repeat(LONG) as 'left' });
    for (let count = 0; count < 500; count += 1) session.tell(told);
    expect(session.canResume(500)).toBeTrue();
    expect(session.canResume(496)).toBeTrue();
    expect(session.canResume(490)).toBeFalse();
    session.close(1000, 'end');
  });

  it('are written once for all sessions, and are nothing when the session has ended', () => {
    const told = notification('meetings.changed', {});
    expect(JSON.parse(`{"seq":1,${told.text}`)).toEqual({ seq: 1, notification: 'meetings.changed', data: {} });
    const session = new Session(owner, () => undefined);
    session.tell(told);
    session.close(1000, 'end');
    session.tell(told);
    expect(session.ended).toBeTrue();
    expect(session.canResume(1)).toBeFalse();
  });
});

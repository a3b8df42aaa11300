/** A title is as long as clients take it, in what is told at the door and in what is told when it changes. */
import { MAX_TITLE_LENGTH } from '../../protocol/display-text.ts';
import { at, eventually } from '../support/homeservers.ts';
import { MeetingPlace } from './kit/meeting.ts';

describe('L6: a title of 3,000 characters', () => {
  it('is cut for those who are inside and those who enter', async () => {
    const place = await MeetingPlace.start();
    try {
      const host = await place.register('anna');
      const roomId = await place.meeting(host);
      const inside = await host.session();
      await inside.join(roomId);
      const path = `client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.name`;
      await host.user.must('PUT', path, { name: 'x'.repeat(3_000) });
      const [told] = await eventually(
        async () => inside.heard('conference.changed'),
        (changes) => changes.length > 0,
      );
      expect(String(at(told, 'title')).length).toBe(MAX_TITLE_LENGTH);
      const entering = await host.session();
      expect((await entering.join(roomId)).title.length).toBe(MAX_TITLE_LENGTH);
    } finally {
      await place.close();
    }
  });
});

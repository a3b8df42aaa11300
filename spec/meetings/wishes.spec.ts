/** What a client wants to see and hear is wanted over the transports that it has, not over those that are being made. */
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { MeetingPlace, type Member } from '../hostile/kit/meeting.ts';
import type { SessionClient } from '../hostile/kit/session-client.ts';
import { at, eventually } from '../support/homeservers.ts';

describe('What a participant wants to see and hear', () => {
  let place: MeetingPlace;
  let bert: Member;
  let watcher: SessionClient;
  let speaker: SessionClient;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    const anna = await place.register('anna');
    bert = await place.register('bert');
    const roomId = await place.meeting(anna, [bert]);
    watcher = await anna.session();
    speaker = await bert.session();
    await watcher.join(roomId);
    await speaker.join(roomId);
    await speaker.publish('microphone');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());

  it('is refused while its client has only transports that are gone, and brings nothing that it could not take', async () => {
    // Both are sent at once: the wish is made with the old transports at hand.
    const opening = watcher.ask('media.open');
    const early = await watcher.watch([bert.participantId]);
    expect('error' in early ? early.error.code : early).toBe('not-found');
    const opened = await opening;
    if (!('result' in opened)) throw new Error('Media was not opened.');
    expect(watcher.heard('consumer.added')).toEqual([]);

    const params = {
      transportId: at(opened.result, 'receive', 'id'),
      rtpCapabilities: at(opened.result, 'rtpCapabilities'),
      watch: [{ participantId: bert.participantId, source: 'microphone' }],
    };
    await watcher.must('media.watch', params);
    await eventually(
      async () => watcher.heard('consumer.added').length,
      (count) => count === 1,
    );
  });
});

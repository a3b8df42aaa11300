/** A15: a participant has one pair of transports and one producer for each source, however often it asks. */
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';

describe('A15: media that a participant asks for many times at once', () => {
  let place: MeetingPlace;
  let anna: Member;
  let roomId: string;

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    anna = await place.register('anna');
    roomId = await place.meeting(anna);
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());

  it('is there once: transports', async () => {
    const session = await anna.session();
    await session.join(roomId);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => session.ask('media.open')));
    expect(outcomes.some((outcome) => 'result' in outcome)).toBeTrue();
    expect(place.media.labels(roomId)).toEqual([anna.participantId, anna.participantId]);
    expect(await place.media.transportsInWorker(roomId)).toBe(2);
    await session.ask('conference.leave');
  });

  it('is there once: sources', async () => {
    const session = await anna.session();
    await session.join(roomId);
    await Promise.all(Array.from({ length: 100 }, () => session.publish('microphone')));
    expect(place.media.conference(roomId)?.producers.length).toBe(1);
    const { producerIds } = (await dumpOfSending(session.media?.send.id ?? '')) ?? {};
    expect(producerIds?.length).toBe(1);
    await session.ask('conference.leave');
    expect(place.media.conference(roomId)).toBeUndefined();
  });

  /** What the media worker itself has in a transport. */
  function dumpOfSending(transportId: string) {
    return place.media.running.sfu.conferences.get(roomId)?.transports.get(transportId)?.transport.dump();
  }
});

/** A25: a moment without the database ends nothing, and what could not be written then is written afterwards. */
import { membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { testDatabase } from '../support/database.ts';
import { DatabaseWay } from '../support/database-way.ts';
import { eventually } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';

describe('A25: a place that is given up while the database is away', () => {
  let place: MeetingPlace;
  let way: DatabaseWay;
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let anna: Member;
  let jens: Member;
  let roomId: string;

  beforeAll(async () => {
    await workerBin();
    database = await testDatabase();
    way = new DatabaseWay(database.url);
    place = await MeetingPlace.start({ DATABASE_URL: way.url });
    [anna, jens] = [await place.register('anna'), await place.register('jens')];
    roomId = await place.meeting(anna, [jens]);
  }, BUILD_TIMEOUT);
  afterAll(async () => {
    way.reopen();
    await place.close();
    await way.close();
    await database.close();
  });

  it('is free of media at once, and leaves nobody in the room when the database is back', async () => {
    const session = await jens.session();
    await session.join(roomId);
    const key = membershipKey(jens.user.userId, jens.deviceId);
    expect(await place.memberships(anna, roomId)).toContain(key);
    session.drop();
    way.shut();
    // An error that nobody takes would end the homeserver; here it would fail the spec.
    await eventually(
      async () => place.media.labels(roomId),
      (labels) => labels.length === 0,
      15_000,
    );
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    way.reopen();
    await eventually(
      async () => (await anna.user.ask('GET', 'client/v3/account/whoami')).status,
      (status) => status === 200,
      20_000,
    );
    await eventually(
      () => place.memberships(anna, roomId),
      (keys) => !keys.includes(key),
      20_000,
    );
  }, 90_000);
});

/** A25: a moment without the database ends nothing, and what could not be written then is written afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { membershipKey } from '../../homeserver/meetings/conference/membership.ts';
import { testDatabase } from '../support/database.ts';
import { eventually } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';
import { MeetingPlace, type Member } from './kit/meeting.ts';

/** The way to the database, which can be closed. */
class Way {
  readonly folder = mkdtempSync(join(tmpdir(), 'hansetag-way-'));
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open = true;

  constructor(target: string, name: string) {
    this.#server = createServer((near) => {
      if (!this.#open) return near.destroy();
      const far = connect(target);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          this.#sockets.delete(from);
          to.destroy();
        });
      }
    });
    this.#server.listen(join(this.folder, name));
  }

  shut(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  reopen(): void {
    this.#open = true;
  }

  async close(): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

describe('A25: a place that is given up while the database is away', () => {
  let place: MeetingPlace;
  let way: Way;
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let anna: Member;
  let jens: Member;
  let roomId: string;

  beforeAll(async () => {
    await workerBin();
    database = await testDatabase();
    const url = new URL(database.url);
    const folder = url.searchParams.get('host') ?? '';
    way = new Way(join(folder, '.s.PGSQL.5432'), '.s.PGSQL.5432');
    url.searchParams.set('host', way.folder);
    place = await MeetingPlace.start({ DATABASE_URL: url.href });
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

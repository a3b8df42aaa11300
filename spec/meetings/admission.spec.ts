/** Who may be in the conference of a room, asked of fake rooms. */
import { MatrixError } from '../../homeserver/base/errors.ts';
import {
  ADMISSION_RULES,
  type AdmissionDeps,
  checkAdmission,
  letsGuestsIn,
} from '../../homeserver/meetings/conference/admission.ts';
import { FakeClock } from '../support/fakes/clock.ts';
import { FakeRooms } from '../support/fakes/rooms.ts';
import { EVERYTHING } from '../support/rights.ts';

const ROOM = '!room:luebeck.example';
const ANNA = '@anna:luebeck.example';
const JENS = '@jens:luebeck.example';

describe('The conference of a room', () => {
  let clock: FakeClock;
  let rooms: FakeRooms;
  let deps: AdmissionDeps;
  let removed: Set<string>;

  beforeEach(() => {
    clock = new FakeClock();
    rooms = new FakeRooms(clock);
    rooms.create(ROOM, ANNA);
    rooms.setMember(ROOM, JENS, 'join');
    removed = new Set();
    deps = {
      rooms,
      serverName: 'luebeck.example',
      standing: EVERYTHING,
      access: { allowed: (roomId, server) => rooms.serverAllowed(roomId, server) },
      removals: { holds: (roomId, userId) => Promise.resolve(removed.has(`${roomId} ${userId}`)) },
    };
  });

  /** What somebody is told who wants to be in it; nothing for who may. */
  const refusal = async (guest = false, userId = JENS): Promise<string | undefined> => {
    const asked = checkAdmission(deps, ROOM, { userId, guest }).then(
      () => undefined,
      (error: unknown) => {
        expect(error).toBeInstanceOf(MatrixError);
        const { status, errcode, message } = error as MatrixError;
        return `${String(status)} ${errcode} ${message}`;
      },
    );
    await clock.settle();
    return asked;
  };

  it('lets in who is in the room', async () => {
    expect(await refusal()).toBeUndefined();
  });

  it('keeps out who is invited, has left, is banned or never was there', async () => {
    for (const membership of ['invite', 'leave', 'ban'] as const) {
      rooms.setMember(ROOM, JENS, membership);
      expect(await refusal())
        .withContext(membership)
        .toContain('403 M_FORBIDDEN You are not a member');
    }
    expect(await refusal(false, '@karl:luebeck.example')).toContain('You are not a member');
  });

  it('keeps out who was removed although the room does not say so yet, and nobody else', async () => {
    removed.add(`${ROOM} ${JENS}`);
    expect(await refusal()).toContain('403 M_FORBIDDEN You are not a member');
    expect(await refusal(false, ANNA)).toBeUndefined();
  });

  it('keeps everybody of a server out that the room shuts out', async () => {
    rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['luebeck.example'] });
    expect(await refusal()).toContain('Your organisation is shut out');
    rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: ['*'], deny: ['hamburg.example'] });
    expect(await refusal()).toBeUndefined();
  });

  it('keeps everybody out once the meeting has ended', async () => {
    rooms.put(ROOM, ANNA, 'm.room.tombstone', '', { body: 'ended', replacement_room: '!next' });
    expect(await refusal()).toContain('This meeting has ended.');
  });

  it('lets guests in where the room says so, and in no other way that it may be written', async () => {
    expect(await refusal(true)).toContain('M_GUEST_ACCESS_FORBIDDEN');
    for (const value of ['forbidden', 'CAN_JOIN', true, ['can_join'], null]) {
      rooms.put(ROOM, ANNA, 'm.room.guest_access', '', { guest_access: value });
      expect(await refusal(true))
        .withContext(JSON.stringify(value))
        .toContain('M_GUEST_ACCESS_FORBIDDEN');
    }
    expect(await refusal(false))
      .withContext('who is no guest does not need it')
      .toBeUndefined();
    rooms.put(ROOM, ANNA, 'm.room.guest_access', '', { guest_access: 'can_join' });
    expect(await refusal(true)).toBeUndefined();
    const asked = letsGuestsIn(rooms, ROOM);
    await clock.settle();
    expect(await asked).toBeTrue();
  });

  it('asks the account first, so that one that is locked learns nothing of the room', async () => {
    deps = {
      ...deps,
      standing: {
        ...EVERYTHING,
        require: (userId, act) =>
          Promise.reject(new MatrixError(403, 'M_USER_LOCKED', `${userId} may not ${act} any more.`)),
      },
    };
    const reads = spyOn(rooms, 'membership').and.callThrough();
    expect(await refusal()).toBe(`403 M_USER_LOCKED ${JENS} may not write any more.`);
    expect(reads).not.toHaveBeenCalled();
  });

  it('says the reason that matters most to the person when there are several', async () => {
    rooms.put(ROOM, ANNA, 'm.room.tombstone', '', { body: 'ended' });
    rooms.put(ROOM, ANNA, 'm.room.server_acl', '', { allow: [] });
    expect(await refusal(true)).toContain('Your organisation is shut out');
    rooms.setMember(ROOM, JENS, 'ban', ANNA);
    expect(await refusal(true)).toContain('You are not a member');
  });

  it('lets nobody in when the room can not be read', async () => {
    spyOn(rooms, 'serverAllowed').and.rejectWith(new Error('the database is away'));
    const asked = expectAsync(checkAdmission(deps, ROOM, { userId: JENS, guest: false })).toBeRejectedWithError(
      'the database is away',
    );
    await clock.settle();
    await asked;
  });

  it('is to be checked again after each change of what it reads besides memberships', async () => {
    const reads = spyOn(rooms, 'stateEvent').and.callThrough();
    await refusal(true);
    const read = new Set(reads.calls.allArgs().map(([, type]) => type));
    expect([...read].sort()).toEqual([...ADMISSION_RULES].sort());
  });
});

/** What a conference may rely on of its room: the real ones and the fake ones of the specs keep to it alike. */
import type { Rooms, StoredEvent } from '../../../homeserver/engine/rooms/rooms.ts';
import type { RoomPort } from '../../../homeserver/meetings/conference/ports.ts';
import { eventually } from '../../sfu/support.ts';

export interface RoomsUnderContract {
  readonly rooms: RoomPort & Pick<Rooms, 'authority'>;
  /** A room of Anna's, where everybody inside may write `org.example.seat`. */
  create(): Promise<string>;
  /** Anna lets somebody in, or takes somebody out. */
  setMember(roomId: string, userId: string, membership: 'invite' | 'leave' | 'ban'): Promise<void>;
  close(): Promise<void>;
}

export const ANNA = '@anna:luebeck.example';
const BERT = '@bert:luebeck.example';
const SEAT = 'org.example.seat';
const NOWHERE = '!nowhere:luebeck.example';

/** @param open makes rooms of the server `luebeck.example` */
export function describeRooms(what: string, open: () => Promise<RoomsUnderContract>): void {
  describe(`The contract of rooms, kept by ${what}:`, () => {
    let under: RoomsUnderContract;
    let rooms: RoomsUnderContract['rooms'];
    let roomId: string;

    beforeAll(async () => {
      under = await open();
      ({ rooms } = under);
    });
    afterAll(() => under.close());
    beforeEach(async () => {
      roomId = await under.create();
    });

    const seat = (sender: string, key: string, content: { n?: number }) =>
      rooms.send(roomId, sender, { type: SEAT, stateKey: key, content });
    const contentOf = async (key: string): Promise<unknown> => (await rooms.stateEvent(roomId, SEAT, key))?.pdu.content;
    const refused = async (promise: Promise<unknown>, status: number): Promise<void> =>
      expectAsync(promise).withContext(String(status)).toBeRejectedWith(jasmine.objectContaining({ status }));

    async function letIn(userId: string): Promise<void> {
      await under.setMember(roomId, userId, 'invite');
      await rooms.join(userId, roomId);
    }

    describe('reading', () => {
      it('gives the current state, by key, by type and as a whole', async () => {
        await seat(ANNA, '_one', { n: 1 });
        await seat(ANNA, '_two', { n: 2 });
        await seat(ANNA, '_one', { n: 3 });
        expect(await contentOf('_one')).toEqual({ n: 3 });
        expect((await rooms.stateOfType(roomId, SEAT)).map(({ pdu }) => Number(pdu.content['n'])).sort()).toEqual([
          2, 3,
        ]);
        const ofOne = await rooms.stateOfType(roomId, SEAT, (key) => key === '_one');
        expect(ofOne.map(({ pdu }) => Number(pdu.content['n']))).toEqual([3]);
        const state = await rooms.state(roomId);
        expect([...state.values()].filter(({ pdu }) => pdu.type === SEAT).length).toBe(2);
        expect(await rooms.stateEvent(roomId, SEAT, '_none')).toBeUndefined();
      });

      it('of a room that is not there gives nothing, or fails', async () => {
        expect(await rooms.stateEvent(NOWHERE, SEAT, '')).toBeUndefined();
        expect(await rooms.membership(NOWHERE, ANNA)).toBeUndefined();
        expect(await rooms.joinedServers(NOWHERE)).toEqual(new Set());
        await refused(rooms.state(NOWHERE), 404);
        await refused(rooms.stateOfType(NOWHERE, SEAT), 404);
        await refused(rooms.authority(NOWHERE, ANNA), 404);
        await refused(seatNowhere(), 404);
      });

      function seatNowhere() {
        return rooms.send(NOWHERE, ANNA, { type: SEAT, stateKey: '', content: {} });
      }

      it('tells who is inside, and of which servers', async () => {
        expect(await rooms.isInside(roomId, ANNA)).toBeTrue();
        expect(await rooms.isInside(roomId, BERT)).toBeFalse();
        expect(await rooms.joinedServers(roomId)).toEqual(new Set(['luebeck.example']));
        await rooms.whole(roomId);
      });

      it('tells which servers the access list lets in', async () => {
        expect(await rooms.serverAllowed(roomId, 'shut-out.example')).toBeTrue();
        const content = { allow: ['*'], deny: ['shut-out.example'] };
        await rooms.send(roomId, ANNA, { type: 'm.room.server_acl', stateKey: '', content });
        expect(await rooms.serverAllowed(roomId, 'shut-out.example')).toBeFalse();
        expect(await rooms.serverAllowed(roomId, 'luebeck.example')).toBeTrue();
      });

      it('tells what power somebody has: a creator all, others the default', async () => {
        await letIn(BERT);
        expect((await rooms.authority(roomId, ANNA)).level).toBe(Infinity);
        const { level, levels } = await rooms.authority(roomId, BERT);
        expect(level).toBe(levels.users_default);
        expect(levels.events.get(SEAT)).toBe(0);
      });
    });

    describe('membership', () => {
      it('needs an invitation, and entering again changes nothing', async () => {
        await refused(rooms.join(BERT, roomId), 403);
        await letIn(BERT);
        expect(await rooms.membership(roomId, BERT)).toBe('join');
        await rooms.join(BERT, roomId);
        expect(await rooms.membership(roomId, BERT)).toBe('join');
      });

      it('ends with a removal or a ban, and a ban with an invitation after its end', async () => {
        await letIn(BERT);
        await under.setMember(roomId, BERT, 'leave');
        expect(await rooms.membership(roomId, BERT)).toBe('leave');
        await letIn(BERT);
        await under.setMember(roomId, BERT, 'ban');
        expect(await rooms.membership(roomId, BERT)).toBe('ban');
        await refused(rooms.join(BERT, roomId), 403);
        await under.setMember(roomId, BERT, 'leave');
        await letIn(BERT);
        expect(await rooms.isInside(roomId, BERT)).toBeTrue();
      });
    });

    describe('writing', () => {
      it('is for those inside', async () => {
        await refused(seat(BERT, '_bert', {}), 403);
        await letIn(BERT);
        await seat(BERT, '_bert', {});
        await under.setMember(roomId, BERT, 'ban');
        await refused(seat(BERT, '_bert', {}), 403);
      });

      it('takes the power that the type needs, and leaves alone what stands under the names of others', async () => {
        await letIn(BERT);
        await refused(rooms.send(roomId, BERT, { type: 'm.room.name', stateKey: '', content: { name: 'Mine' } }), 403);
        await refused(seat(BERT, ANNA, {}), 403);
        await seat(BERT, BERT, {});
        await seat(BERT, '_not_only_his', {});
      });

      it('keeps the order in which it was asked for', async () => {
        await Promise.all([1, 2, 3, 4].map((n) => seat(ANNA, '_one', { n })));
        expect(await contentOf('_one')).toEqual({ n: 4 });
      });

      it('is told to those who listen, once it can be read, until they do not listen any more', async () => {
        const read: Promise<StoredEvent | undefined>[] = [];
        const told: unknown[] = [];
        const stop = rooms.onEvent((event, { live }) => {
          if (event.roomId !== roomId || event.pdu.type !== SEAT) return;
          told.push([event.pdu.sender, event.pdu.state_key, event.pdu.content, live]);
          read.push(rooms.stateEvent(roomId, SEAT, '_one'));
        });
        const { eventId } = await seat(ANNA, '_one', { n: 1 });
        await eventually(() => told.length === 1);
        expect(told).toEqual([[ANNA, '_one', { n: 1 }, true]]);
        expect((await read[0])?.eventId).toBe(eventId);
        stop();
        await seat(ANNA, '_one', { n: 2 });
        expect(told.length).toBe(1);
      });

      it('tells of memberships as well', async () => {
        const told: unknown[] = [];
        const stop = rooms.onEvent(({ pdu, roomId: where }) => {
          if (where === roomId && pdu.type === 'm.room.member') told.push([pdu.state_key, pdu.content['membership']]);
        });
        await letIn(BERT);
        await under.setMember(roomId, BERT, 'ban');
        await eventually(() => told.length === 3);
        stop();
        expect(told).toEqual(['invite', 'join', 'ban'].map((membership) => [BERT, membership]));
      });
    });
  });
}

/** What becomes of somebody who is alone in a meeting, with a clock that the spec moves. */
import type { Asker, MeetingContext } from '../../../homeserver/meetings/modules/module.ts';
import { aloneModule } from '../../../homeserver/meetings/modules/alone/index.ts';
import { FakeClock } from '../../support/fakes/clock.ts';

const MINUTE = 60_000;
const ANNA = '@anna:luebeck.example';
const OTTO = '@otto:hamburg.example';

describe('Inactivity guard', () => {
  let clock: FakeClock;
  /** Participant ids. */
  let here: string[];
  let told: unknown[];
  let module: ReturnType<typeof aloneModule>;

  const participants = (ids: readonly string[]) =>
    ids.map((participantId) => ({ participantId, userId: participantId.split('|')[0] }));
  const context = {
    roomId: '!room',
    participants: () => participants(here),
    own: () => participants(here.filter((id) => id.includes(':luebeck.'))),
    notifyAll: (name: string, data: unknown) => void told.push([name, data]),
  } as unknown as MeetingContext;
  const asker = { userId: ANNA, place: () => ({ context, participantId: `${ANNA}|A` }) } as unknown as Asker;

  function open(mediaOffMin: number, askMin: number, leaveMin: number): void {
    module = aloneModule({
      clock,
      alone: {
        times: { mediaOffMs: mediaOffMin * MINUTE, askMs: askMin * MINUTE, leaveMs: leaveMin * MINUTE },
        mediaOff: (_roomId, participantId) => void told.push(['media off', participantId]),
        leave: (_roomId, participantId) => void told.push(['leave', participantId]),
      },
    });
  }

  beforeEach(() => {
    clock = new FakeClock();
    here = [];
    told = [];
    open(2, 15, 60);
  });

  function people(...ids: readonly string[]): void {
    here = [...ids];
    module.peopleChanged?.(context);
  }
  const news = (): unknown[] => told.splice(0);

  it('switches microphone and camera off after 2 minutes alone, asks after 15, and leaves after 60', async () => {
    people(`${ANNA}|A`);
    await clock.advance(2 * MINUTE - 1);
    expect(news()).toEqual([]);
    await clock.advance(1);
    expect(news()).toEqual([
      ['media off', `${ANNA}|A`],
      ['alone.changed', { stage: 'media-off', leavesInMs: 58 * MINUTE }],
    ]);
    await clock.advance(13 * MINUTE);
    expect(news()).toEqual([['alone.changed', { stage: 'asked', leavesInMs: 45 * MINUTE }]]);
    await clock.advance(45 * MINUTE - 1);
    expect(news()).toEqual([]);
    await clock.advance(1);
    expect(news()).toEqual([['leave', `${ANNA}|A`]]);
  });

  it('ends as soon as somebody comes, of whichever organisation, and begins anew when they go', async () => {
    people(`${ANNA}|A`);
    await clock.advance(3 * MINUTE);
    news();
    people(`${ANNA}|A`, `${OTTO}|O`);
    expect(news()).toEqual([['alone.changed', { stage: 'together' }]]);
    await clock.advance(120 * MINUTE);
    expect(news()).toEqual([]);
    here = [`${ANNA}|A`];
    module.left?.(context, `${OTTO}|O`);
    await clock.advance(2 * MINUTE);
    expect(news().length).toBe(2);
  });

  it('counts people and not their devices', async () => {
    people(`${ANNA}|A`, `${ANNA}|B`);
    await clock.advance(60 * MINUTE);
    expect(news().filter((one) => (one as string[])[0] === 'leave')).toEqual([
      ['leave', `${ANNA}|A`],
      ['leave', `${ANNA}|B`],
    ]);
  });

  it('begins all times anew when the question is answered', async () => {
    people(`${ANNA}|A`);
    await clock.advance(15 * MINUTE);
    news();
    await module.requests['alone.stay'](asker, {});
    expect(news()).toEqual([['alone.changed', { stage: 'alone', leavesInMs: 60 * MINUTE }]]);
    await clock.advance(59 * MINUTE);
    expect(news().map((one) => (one as string[])[0])).not.toContain('leave');
    await clock.advance(MINUTE);
    expect(news()).toEqual([['leave', `${ANNA}|A`]]);
  });

  it('tells whoever comes back where it stands', async () => {
    people(`${ANNA}|A`);
    await clock.advance(20 * MINUTE);
    expect(module.snapshot?.(context, { userId: ANNA, rights: [] })).toEqual({
      stage: 'asked',
      leavesInMs: 40 * MINUTE,
    });
  });

  it('does only what the organisation wants', async () => {
    open(0, 0, 0);
    people(`${ANNA}|A`);
    await clock.advance(600 * MINUTE);
    expect(news()).toEqual([]);
    expect(module.snapshot?.(context, { userId: ANNA, rights: [] })).toEqual({ stage: 'alone' });
  });

  it('does nothing about a conference in which only others are', async () => {
    people(`${OTTO}|O`);
    await clock.advance(120 * MINUTE);
    expect(news()).toEqual([]);
  });
});

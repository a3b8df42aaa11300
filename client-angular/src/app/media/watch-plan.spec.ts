import type { Participant } from '../../../../protocol/session.ts';
import { watchSchema } from '../../../../protocol/session.ts';
import { likelyTiles, type VisibleTile, watchPlan } from './watch-plan.ts';

function person(name: string, sources: Participant['sources'] = []): Participant {
  const userId = `@${name}:hamburg.example`;
  return {
    participantId: `${userId}|D`,
    userId,
    deviceId: 'D',
    displayName: name,
    organisation: 'hamburg.example',
    role: 'participant',
    guest: false,
    joinedAt: 0,
    sources,
    presence: 'here',
    signals: {},
  };
}

function tile(
  participant: Participant,
  width: number,
  height: number,
  source: VisibleTile['source'] = 'camera',
): VisibleTile {
  return { participantId: participant.participantId, source, width, height };
}

describe('What the client asks to receive', () => {
  const me = person('me');
  const anna = person('anna', [{ source: 'camera', paused: false }]);
  const jens = person('jens');

  it('is before the screen is drawn the small pictures of the first ones in the order of the server', () => {
    // The times are of foreign clocks.
    const people = Array.from({ length: 12 }, (_, i) => ({ ...person(`p${String(i)}`), joinedAt: 100 - i }));
    const guess = likelyTiles([me, ...people], me.participantId);
    expect(guess.map(({ participantId }) => participantId)).toEqual(
      people.slice(0, 6).map(({ participantId }) => participantId),
    );
    expect(guess.every(({ source, height }) => source === 'camera' && height === 360)).toBe(true);
  });

  it('is the sound of everybody else, and pictures only of tiles in view', () => {
    const plan = watchPlan([me, anna, jens], [tile(anna, 640, 360)], me.participantId);
    expect(plan.map(({ participantId, source }) => [participantId, source])).toEqual([
      [anna.participantId, 'microphone'],
      [jens.participantId, 'microphone'],
      [anna.participantId, 'camera'],
    ]);
  });

  it('never is the own person, nor somebody who has left', () => {
    const gone = person('gone');
    const plan = watchPlan([me, anna], [tile(me, 640, 360), tile(gone, 640, 360)], me.participantId);
    expect(plan.map(({ participantId }) => participantId)).toEqual([anna.participantId]);
  });

  it('rounds sizes, so that dragging a window does not send a list for every pixel', () => {
    const sizes = (width: number, height: number) =>
      watchPlan([anna], [tile(anna, width, height)], me.participantId).find(({ source }) => source === 'camera');
    expect(sizes(641, 361)).toEqual(sizes(660, 370));
    expect(sizes(641, 361)).toEqual(jasmine.objectContaining({ width: 672, height: 384 }));
  });

  it('has the sound of a shared screen only where there is one', () => {
    const sharing = person('sharing', [
      { source: 'screen', paused: false },
      { source: 'screen-audio', paused: false },
    ]);
    const plan = watchPlan([sharing], [tile(sharing, 1280, 720, 'screen')], me.participantId);
    expect(plan.map(({ source }) => source)).toEqual(['microphone', 'screen-audio', 'screen']);
  });

  it('stays within what the server takes in a meeting of 200, with room for pictures and for those who speak', () => {
    const crowd = Array.from({ length: 200 }, (_, index) =>
      person(`p${String(index)}`, index === 199 ? [{ source: 'microphone', paused: false }] : []),
    );
    const tiles = crowd.slice(0, 60).map((participant) => tile(participant, 320, 180));
    const plan = watchPlan(crowd, tiles, me.participantId);
    expect(plan.length).toBe(100);
    expect(plan.filter(({ source }) => source === 'camera').length).toBe(30);
    expect(plan[0]?.participantId).toBe('@p199:hamburg.example|D');
  });

  it('is accepted by the schema of the protocol also for absurd sizes', () => {
    const plan = watchPlan([anna, jens], [tile(anna, 40_000, 1), tile(jens, 0, 0)], me.participantId);
    for (const watch of plan) expect(watchSchema.safeParse(watch).success).toBeTrue();
    expect(
      plan.some(({ participantId, source }) => participantId === jens.participantId && source === 'camera'),
    ).toBeFalse();
  });
});

import { ANNA, BERT, EVE, Sketch } from './sketch.ts';

const OURS = ['ours', 'ours'] as const;

describe('What a soak makes of verdicts', () => {
  const room = new Sketch();
  const { create, anna, levels, bert, eve } = room;

  it('a server had to hide what came after the ban of its sender, and no other one had to', async () => {
    const ban = room.event(ANNA, [eve], room.member(EVE, 'ban'), [create, anna, levels, eve]);
    const late = room.event(EVE, [eve], room.message, [create, levels, eve]);
    const both = room.graph(
      OURS,
      [
        [ban, 'accepted'],
        [late, 'soft-failed'],
      ],
      [
        [late, 'soft-failed'],
        [ban, 'accepted'],
      ],
    );
    expect(await both.hadToSoftFail(0, late)).toBeTrue();
    expect(await both.hadToSoftFail(1, late)).toBeFalse();
    expect(await both.misjudged(0)).toEqual([]);
  });

  it('a change of the rules on one side of a cut excuses no server that hides what the new rules allow', async () => {
    const closed = room.event(ANNA, [eve], room.state('m.room.join_rules', { join_rule: 'invite' }), [
      create,
      anna,
      levels,
    ]);
    const said = room.event(BERT, [eve], room.message, [create, levels, bert]);
    const one = room.graph(OURS, [
      [closed, 'accepted'],
      [said, 'soft-failed'],
    ]);
    expect(await one.hadToSoftFail(0, said)).toBeFalse();
  });

  it('a server may not reject what the rules allow, nor take what they forbid', async () => {
    const said = room.event(BERT, [eve], room.message, [create, levels, bert]);
    const named = room.event(BERT, [eve], room.state('m.room.name', { name: 'Mine' }), [create, levels, bert]);
    const one = room.graph(OURS, [
      [said, 'rejected'],
      [named, 'accepted'],
    ]);
    expect(await one.misjudged(0)).toEqual([said, named]);
  });
});

/** Patterns that somebody else's messages are held against cost a bounded number of steps. */
import { matchesWhole, matchesWords, newBudget } from '../../homeserver/base/glob.ts';
import { property } from '../../homeserver/features/push/evaluate.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestUser } from '../support/homeservers.ts';
import { DEAR_PATTERNS } from './kit/dear-inputs.ts';

describe('A5: patterns of push rules', () => {
  let federation: TestFederation;
  let bert: TestUser;

  beforeAll(async () => {
    federation = await startHomeservers(1);
    const user = await federation.servers[0]?.register('bert');
    if (!user) throw new Error('There is no server.');
    bert = user;
  });
  afterAll(() => federation.close());

  const put = (id: string, rule: unknown, kind = 'override'): Promise<{ status: number; body: unknown }> =>
    bert.ask('PUT', `client/v3/pushrules/global/${kind}/${id}`, rule);

  it('mean what they always meant', () => {
    const cases: [string, string, boolean, boolean][] = [
      ['a*c', 'abc', true, true],
      ['a*c', 'abcd', false, false],
      ['a*c', 'x abc y', false, true],
      ['*b*', 'abc', true, true],
      ['?at', 'cat', true, true],
      ['?at', 'chat', false, false],
      ['a?c*', 'abcdef', true, true],
      ['*', '', true, true],
      ['?', '', false, false],
      ['ab*ab', 'ab', false, false],
      ['ab*ab', 'abab', true, true],
      ['*day', 'Sunday', true, true],
      ['day*', 'Sunday', false, false],
      ['a*b*c', 'a c b c', true, true],
      ['**x', 'x', true, true],
    ];
    for (const [pattern, text, whole, words] of cases) {
      expect([matchesWhole(pattern, text), matchesWords(pattern, text)])
        .withContext(`${pattern} ${text}`)
        .toEqual([whole, words]);
    }
  });

  it('compare no more characters for one user and one event than the budget has', () => {
    const text = `${'a'.repeat(30_000)}`;
    const budget = newBudget();
    const { left } = budget;
    for (let rule = 0; rule < 1000; rule += 1) {
      for (const pattern of DEAR_PATTERNS) {
        matchesWords(pattern, text, budget);
        matchesWhole(pattern, text, budget);
      }
    }
    // Each try that finds the budget used up takes what the length of the text costs, and compares nothing.
    expect(budget.left).toBeLessThan(0);
    expect(budget.left).toBeGreaterThan(-1000 * DEAR_PATTERNS.length * 2 * 1251);
    expect(left).toBeLessThanOrEqual(1_000_000);
    expect(matchesWords('a', 'a', budget)).toBeFalse();
    expect(matchesWords('a'.repeat(256), 'a'.repeat(256))).toBeFalse();
  });

  it('and their keys have 255 characters at most, wherever they stand in a rule', async () => {
    const long = 'a'.repeat(256);
    const conditions: unknown[] = [
      { kind: 'event_match', key: 'content.body', pattern: long },
      { kind: 'event_match', key: `content.${long}`, pattern: 'a' },
      { kind: 'event_property_is', key: 'content.x', value: long },
      { kind: long },
      { kind: 'room_member_count', is: long },
      { kind: 'event_match', key: 'content.body', pattern: { a: {} } },
      { [long]: 'a' },
    ];
    for (const condition of conditions) {
      const { status, body } = await put('long', { actions: ['notify'], conditions: [condition] });
      expect([status, at(body, 'errcode')]).toEqual([400, 'M_BAD_JSON']);
    }
    expect((await put('long', { actions: ['notify'], pattern: long }, 'content')).status).toBe(400);
    expect(property({ content: { [long]: 1 } }, `content.${long}`)).toBeUndefined();
  });

  it('of one user have 64 KiB together, and who has too many can take some away', async () => {
    const conditions = Array.from({ length: 40 }, () => ({
      kind: 'event_match',
      key: 'content.body',
      pattern: 'x'.repeat(250),
    }));
    const answers: unknown[] = [];
    for (let rule = 0; rule < 8; rule += 1) {
      answers.push((await put(`many-${String(rule)}`, { actions: ['notify'], conditions })).status);
    }
    expect(answers).toEqual([200, 200, 200, 200, 200, 400, 400, 400]);
    expect((await bert.ask('DELETE', 'client/v3/pushrules/global/override/many-0')).status).toBe(200);
    expect((await put('many-9', { actions: ['notify'], conditions })).status).toBe(200);
  });
});

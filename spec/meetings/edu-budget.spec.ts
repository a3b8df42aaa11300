/** How much another server may have us tell our clients, on a clock that the spec moves. */
import { EduBudget } from '../../homeserver/meetings/conference/edu-budget.ts';

const HAMBURG = 'hamburg.example';
const BREMEN = 'bremen.example';
const ROOM = '!room:luebeck.example';

describe('The budget of changes of another server', () => {
  let now: number;
  let budget: EduBudget;

  beforeEach(() => {
    jasmine.clock().install();
    now = 0;
    budget = new EduBudget(() => now);
  });
  afterEach(() => {
    budget.close();
    jasmine.clock().uninstall();
  });

  /** How many messages are handled until one is not. */
  const handled = (server: string, atMost = 5_000): number => {
    let count = 0;
    while (count < atMost && budget.mayHandle(server)) count += 1;
    return count;
  };

  it('lets six hundred changes come at once, and no more', () => {
    expect(handled(HAMBURG)).toBe(600);
    expect(budget.mayHandle(HAMBURG)).toBeFalse();
  });

  it('gives back a hundred changes a second', () => {
    handled(HAMBURG);
    now += 1_000;
    expect(handled(HAMBURG)).toBe(100);
    now += 9;
    expect(budget.mayHandle(HAMBURG)).withContext('nine tenths of a change').toBeFalse();
    now += 1;
    expect(budget.mayHandle(HAMBURG)).toBeTrue();
  });

  it('saves up no more than the burst, however long a server is quiet', () => {
    handled(HAMBURG);
    now += 24 * 60 * 60 * 1000;
    expect(handled(HAMBURG)).toBe(600);
  });

  it('is one for each server', () => {
    handled(HAMBURG);
    expect(handled(BREMEN)).toBe(600);
  });

  it('can be overdrawn by the changes of one message, which are paid for afterwards', () => {
    expect(budget.mayHandle(HAMBURG)).toBeTrue();
    budget.spend(HAMBURG, 799);
    expect(budget.mayHandle(HAMBURG)).toBeFalse();
    now += 2_000;
    expect(budget.mayHandle(HAMBURG)).withContext('two hundred were owed').toBeFalse();
    now += 10;
    expect(budget.mayHandle(HAMBURG)).toBeTrue();
  });

  it('forgets all servers when there are too many, so that names cost no memory without bound', () => {
    handled(HAMBURG);
    for (let n = 0; n < 5_000; n += 1) budget.mayHandle(`s${String(n)}.example`);
    expect(budget.mayHandle(HAMBURG)).toBeTrue();
  });

  it('has what was not handled made good once for each server and room, two seconds later', () => {
    const repaired: string[] = [];
    for (let n = 0; n < 3; n += 1) budget.repairLater(HAMBURG, ROOM, () => repaired.push(`hamburg ${String(n)}`));
    budget.repairLater(BREMEN, ROOM, () => repaired.push('bremen'));
    budget.repairLater(HAMBURG, '!other', () => repaired.push('other'));
    jasmine.clock().tick(1_999);
    expect(repaired).toEqual([]);
    jasmine.clock().tick(1);
    expect(repaired).toEqual(['hamburg 0', 'bremen', 'other']);
  });

  it('can ask again after it has asked, also from within', () => {
    let repairs = 0;
    const again = (): void => {
      repairs += 1;
      if (repairs < 3) budget.repairLater(HAMBURG, ROOM, again);
    };
    budget.repairLater(HAMBURG, ROOM, again);
    jasmine.clock().tick(10_000);
    expect(repairs).toBe(3);
  });

  it('asks nobody any more after its end', () => {
    const repair = jasmine.createSpy('repair');
    budget.repairLater(HAMBURG, ROOM, repair);
    budget.close();
    jasmine.clock().tick(10_000);
    expect(repair).not.toHaveBeenCalled();
  });
});

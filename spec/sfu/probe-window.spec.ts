import { ProbeWindow } from '../../sfu/probe-window.ts';

describe('the window of probes', () => {
  let window: ProbeWindow;

  beforeEach(() => {
    window = new ProbeWindow();
  });

  /** Asks at this time, and has the answer so many ms later. */
  function answered(nonce: string, askedAt: number, afterMs: number): void {
    window.asked(nonce, askedAt);
    window.answered(nonce, askedAt + afterMs);
  }

  it('knows nothing before the first answer', () => {
    expect(window.roundTripMs).toBeUndefined();
    expect(window.loss(0)).toBe(0);
    expect(window.silenceMs(0)).toBe(Infinity);
    window.asked('a', 0);
    expect(window.roundTripMs).toBeUndefined();
    expect(window.silenceMs(1000)).toBe(Infinity);
  });

  it('takes an answer to a question once', () => {
    window.asked('a', 0);
    expect(window.answered('a', 10)).toBeTrue();
    expect(window.answered('a', 500)).toBeFalse();
    expect(window.silenceMs(500)).withContext('since the first answer').toBe(490);
    expect(window.roundTripMs).toBe(10);
  });

  it('takes no answer to a question that nobody asked', () => {
    window.asked('a', 0);
    expect(window.answered('b', 10)).toBeFalse();
    expect(window.silenceMs(10)).toBe(Infinity);
  });

  it('counts silence from the last answer, whatever was asked since', () => {
    answered('a', 0, 50);
    window.asked('b', 1000);
    expect(window.silenceMs(1050)).toBe(1000);
  });

  it('has the median of round trips, which one late answer does not change', () => {
    [10, 12, 11].forEach((ms, second) => answered(String(second), 1000 * second, ms));
    expect(window.roundTripMs).toBe(11);
    answered('late', 3000, 900);
    answered('good', 4000, 10);
    expect(window.roundTripMs).toBe(11);
  });

  it('sorts round trips as numbers', () => {
    [9, 100, 20].forEach((ms, second) => answered(String(second), 1000 * second, ms));
    expect(window.roundTripMs).toBe(20);
  });

  it('counts a question as lost only when its answer is overdue', () => {
    window.asked('a', 0);
    expect(window.loss(1500)).toBe(0);
    expect(window.loss(1501)).toBe(1);
  });

  it('counts a late answer as an answer', () => {
    window.asked('a', 0);
    expect(window.loss(2000)).toBe(1);
    expect(window.answered('a', 2000)).toBeTrue();
    expect(window.loss(2000)).toBe(0);
    expect(window.roundTripMs).toBe(2000);
  });

  it('leaves what is under way out of the share', () => {
    answered('a', 0, 20);
    window.asked('lost', 1000);
    window.asked('under way', 2900);
    expect(window.loss(3000)).toBe(0.5);
  });

  it('is all lost when nothing is answered', () => {
    for (let second = 0; second < 10; second += 1) window.asked(String(second), 1000 * second);
    expect(window.loss(12_000)).toBe(1);
  });

  it('looks back ten seconds for the loss', () => {
    window.asked('a', 0);
    expect(window.loss(10_000)).toBe(1);
    expect(window.loss(10_001)).toBe(0);
  });

  it('forgets a question with the first one that is asked more than ten seconds later', () => {
    window.asked('a', 0);
    window.asked('b', 10_000);
    expect(window.answered('a', 10_000)).toBeTrue();
    window.asked('c', 10_001);
    expect(window.answered('a', 10_001)).toBeFalse();
    expect(window.roundTripMs).withContext('that of the forgotten one does not count').toBeUndefined();
  });

  it('keeps counting silence from an answer that the window has forgotten', () => {
    answered('a', 0, 50);
    window.asked('b', 60_000);
    expect(window.silenceMs(60_050)).toBe(60_000);
  });

  it('is one again after a pause longer than itself', () => {
    window.asked('lost', 0);
    answered('a', 60_000, 30);
    expect(window.loss(62_000)).toBe(0);
    expect(window.roundTripMs).toBe(30);
  });
});

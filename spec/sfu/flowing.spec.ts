/** The wait for the first media of a source, on a clock of the spec. */
import { EventEmitter } from 'node:events';
import type { Producer } from 'mediasoup/types';
import { flowing } from '../../sfu/producers.ts';

class Source extends EventEmitter {
  score: { score: number }[] = [];
  closed = false;
  readonly observer = new EventEmitter();

  scores(...scores: number[]): void {
    this.score = scores.map((score) => ({ score }));
    this.emit('score', this.score);
  }

  close(): void {
    this.closed = true;
    this.observer.emit('close');
  }
}

describe('the first media of a source', () => {
  let source: Source;

  beforeEach(() => {
    jasmine.clock().install();
    source = new Source();
  });
  afterEach(() => {
    jasmine.clock().uninstall();
    expect(source.listenerCount('score') + source.observer.listenerCount('close'))
      .withContext('nothing waits any more')
      .toBe(0);
  });

  const wait = (withinMs: number) => flowing(source as unknown as Producer, withinMs);

  it('has come when one of its layers has a score', async () => {
    source.scores(0, 7);
    expect(await wait(1000)).toBeTrue();
  });

  it('is waited for, past scores that are nought', async () => {
    const waiting = wait(1000);
    source.scores();
    source.scores(0, 0);
    source.scores(0, 1);
    expect(await waiting).toBeTrue();
  });

  it('has not come when the time is over', async () => {
    const waiting = wait(1000);
    jasmine.clock().tick(999);
    let settled = false;
    waiting.finally(() => (settled = true)).catch(() => undefined);
    await Promise.resolve();
    expect(settled).toBeFalse();
    jasmine.clock().tick(1);
    expect(await waiting).toBeFalse();
  });

  it('does not come any more when the source is closed, before or meanwhile', async () => {
    const waiting = wait(1000);
    source.close();
    expect(await waiting).toBeFalse();
    expect(await wait(1000)).toBeFalse();
  });

  it('is told to each who waits', async () => {
    const waiting = [wait(1000), wait(2000)];
    source.scores(10);
    expect(await Promise.all(waiting)).toEqual([true, true]);
  });
});

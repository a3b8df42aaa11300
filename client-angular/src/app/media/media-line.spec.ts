import { BLOCKED_MS, blockedText, isLoopback, MediaLine } from './media-line.ts';

describe('Honest connection view: the line between this computer and the own SFU', () => {
  let line: MediaLine;

  beforeEach(() => {
    jasmine.clock().install();
    jasmine.clock().mockDate(new Date(1_000_000));
    line = new MediaLine();
    line.opened(['192.0.2.7'], true);
  });

  afterEach(() => jasmine.clock().uninstall());

  it('says nothing while there is nothing to carry', () => {
    line.report(['new', 'new']);
    jasmine.clock().tick(BLOCKED_MS * 3);
    expect(line.state()).toEqual({ kind: 'idle' });
  });

  it('is blocked when nothing gets through for some seconds, and since when', () => {
    line.report(['connecting', 'new']);
    jasmine.clock().tick(BLOCKED_MS - 1);
    expect(line.state()).toEqual({ kind: 'connecting', since: 1_000_000 });
    jasmine.clock().tick(1);
    expect(line.state()).toEqual({ kind: 'blocked', since: 1_000_000, cause: 'no-route' });
  });

  it('is told within 8 s', () => expect(BLOCKED_MS).toBeLessThan(8_000));

  it('is blocked at once when the first attempt of the browser has failed', () => {
    line.report(['failed', 'new']);
    expect(line.state().kind).toBe('blocked');
  });

  it('is as good as the worse of its transports', () => {
    line.report(['connected', 'connecting']);
    expect(line.state().kind).toBe('connecting');
    line.report(['connected', 'connected']);
    expect(line.state()).toEqual({ kind: 'connected' });
  });

  it('stays blocked through repairs and new transports, until it is connected', () => {
    line.report(['connecting', 'connecting']);
    jasmine.clock().tick(BLOCKED_MS);
    for (const again of ['failed', 'connecting'] as const) {
      line.report([again, again]);
      line.restarting();
      line.opened(['192.0.2.7'], true);
      line.report(['connecting', 'new']);
      expect(line.state()).toEqual({ kind: 'blocked', since: 1_000_000, cause: 'no-route' });
    }
    line.report(['connected', 'connected']);
    jasmine.clock().tick(BLOCKED_MS);
    expect(line.state()).toEqual({ kind: 'connected' });
  });

  it('that worked before is interrupted first, and lost after some seconds', () => {
    line.report(['connected', 'connected']);
    jasmine.clock().tick(60_000);
    line.report(['disconnected', 'connected']);
    expect(line.state()).toEqual({ kind: 'interrupted', since: 1_060_000 });
    jasmine.clock().tick(BLOCKED_MS);
    expect(line.state()).toEqual({ kind: 'blocked', since: 1_060_000, cause: 'lost' });
  });

  it('is not blamed when the server makes new transports', () => {
    line.report(['connected', 'connected']);
    line.report(['disconnected', 'connected']);
    line.restarting();
    jasmine.clock().tick(BLOCKED_MS * 2);
    expect(line.state()).toEqual({ kind: 'closed' });
    line.opened(['192.0.2.7'], true);
    expect(line.state()).toEqual({ kind: 'idle' });
  });

  it('names the reason when the server is on this computer, where Firefox finds no way', () => {
    line = new MediaLine();
    line.opened(['127.0.0.2', '127.0.0.2'], false);
    line.report(['failed', 'new']);
    expect(line.state()).toEqual(jasmine.objectContaining({ kind: 'blocked', cause: 'loopback' }));
    // Chromium would find it: something else is in the way there.
    line = new MediaLine();
    line.opened(['127.0.0.2', '127.0.0.2'], true);
    line.report(['failed', 'new']);
    expect(line.state()).toEqual(jasmine.objectContaining({ kind: 'blocked', cause: 'no-route' }));
    expect(blockedText('loopback')).toContain('--lan');
  });

  it('knows loopback addresses', () => {
    for (const address of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) expect(isLoopback(address)).toBeTrue();
    for (const address of ['10.0.0.1', '192.168.127.1', '2001:db8::1', 'media.example']) {
      expect(isLoopback(address)).toBeFalse();
    }
  });
});

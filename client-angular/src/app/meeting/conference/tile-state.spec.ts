import { FIRST_PICTURE_MS, type TileFacts, tileState, tileText } from './tile-state.ts';

const NOW = 1_000_000;

function facts(change: Partial<TileFacts> = {}): TileFacts {
  return {
    participant: { presence: 'here', sources: [{ source: 'camera', paused: false }] },
    source: 'camera',
    link: { state: 'connected', since: 0 },
    line: { kind: 'connected' },
    media: { weak: false },
    lastFrameAt: NOW - 100,
    awaitedSince: NOW - 1_000,
    now: NOW,
    ...change,
  };
}

describe('Honest connection view: a tile', () => {
  it('shows the picture while it moves, also when the link is reported as interrupted', () => {
    expect(tileState(facts()).kind).toBe('picture');
    expect(tileState(facts({ link: { state: 'interrupted', since: 5 } })).kind).toBe('picture');
  });

  it('says that the camera is off when nothing or a paused source is sent', () => {
    const paused = [{ source: 'camera' as const, paused: true }];
    expect(tileState(facts({ participant: { presence: 'here', sources: [] } })).kind).toBe('camera-off');
    expect(tileState(facts({ participant: { presence: 'here', sources: paused } })).kind).toBe('camera-off');
  });

  it('does not take "nothing heard yet" for a camera that is off', () => {
    const participant = { presence: 'here' as const, sources: [], sourcesKnown: false };
    expect(tileState(facts({ participant, media: undefined, lastFrameAt: undefined })).kind).toBe('connecting');
    const link = { state: 'interrupted' as const, since: 5, hop: 'media' as const };
    expect(tileState(facts({ participant, link })).kind).toBe('interrupted');
  });

  it('says that an organisation is not reachable where nobody can know whether the camera is off', () => {
    const participant = { presence: 'here' as const, sources: [] };
    const link = { state: 'interrupted' as const, since: 5 };
    expect(tileState(facts({ participant, link: { ...link, hop: 'federation' } })).kind).toBe('interrupted');
    expect(tileState(facts({ participant, link: { ...link, hop: 'media' } })).kind).toBe('camera-off');
  });

  it('says that it is connecting before the first picture', () => {
    expect(tileState(facts({ media: undefined, lastFrameAt: undefined })).kind).toBe('connecting');
    expect(tileState(facts({ lastFrameAt: undefined })).kind).toBe('connecting');
  });

  it('counts the seconds since the last picture, and names the organisation', () => {
    const state = tileState(facts({ lastFrameAt: NOW - 12_000 }));
    expect(state).toEqual({ kind: 'no-picture', since: NOW - 12_000 });
    expect(tileText(state, 'Hamburg', NOW)).toBe('No picture from Hamburg since 12 s');
  });

  it('names the interrupted link as the cause when pictures stop', () => {
    const state = tileState(facts({ link: { state: 'interrupted', since: NOW - 8_000 }, lastFrameAt: NOW - 9_000 }));
    expect(state).toEqual({ kind: 'interrupted', since: NOW - 8_000 });
    expect(tileText(state, 'Hamburg', NOW)).toBe('Hamburg not reachable since 8 s');
  });

  it('does not connect for ever: without a first picture it says since when', () => {
    const state = tileState(facts({ lastFrameAt: undefined, awaitedSince: NOW - FIRST_PICTURE_MS }));
    expect(state).toEqual({ kind: 'no-picture', since: NOW - FIRST_PICTURE_MS });
  });

  it('blames the own line, not the other organisation, when nothing gets through to this computer', () => {
    const line = { kind: 'blocked', since: NOW - 9_000, cause: 'no-route' } as const;
    for (const lastFrameAt of [undefined, NOW - 9_000]) {
      const state = tileState(facts({ line, lastFrameAt, link: { state: 'interrupted', since: NOW } }));
      expect(state).toEqual({ kind: 'own-line', since: NOW - 9_000 });
      expect(tileText(state, 'Hamburg', NOW)).not.toContain('Hamburg');
    }
    const sources = [{ source: 'screen' as const, paused: false }];
    const screen = facts({
      participant: { presence: 'here', sources },
      source: 'screen',
      line,
      lastFrameAt: NOW - 9_000,
    });
    expect(tileState(screen).kind).toBe('own-line');
    expect(tileState(facts({ line })).kind).toBe('picture');
  });

  it('tells a weak line from a lost one', () => {
    expect(tileState(facts({ media: { weak: true }, lastFrameAt: NOW - 9_000 })).kind).toBe('weak');
  });

  it('says that a participant is reconnecting', () => {
    const sources = [{ source: 'camera' as const, paused: false }];
    const reconnecting = { presence: 'reconnecting' as const, sources };
    expect(tileState(facts({ participant: reconnecting, lastFrameAt: NOW - 9_000 })).kind).toBe('reconnecting');
    expect(tileState(facts({ participant: { ...reconnecting, sources: [] } })).kind).toBe('reconnecting');
  });

  it('does not complain about a shared screen on which nothing changes', () => {
    const participant = { presence: 'here' as const, sources: [{ source: 'screen' as const, paused: false }] };
    expect(tileState(facts({ participant, source: 'screen', lastFrameAt: NOW - 60_000 })).kind).toBe('picture');
  });
});

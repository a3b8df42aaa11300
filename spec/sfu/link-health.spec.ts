import { INTERRUPTED_AFTER_MS, linkState, type LinkMeasures } from '../../sfu/link-health.ts';

/** Answers come, media comes, nothing is lost. */
const GOOD: LinkMeasures = { silenceMs: 0, mediaSilenceMs: 0, expectingMs: undefined, loss: 0, roundTripMs: 20 };

describe('the state of a link', () => {
  const state = (measures: Partial<LinkMeasures>) => linkState({ ...GOOD, ...measures });

  it('is connected while answers come and nothing is amiss', () => {
    expect(state({})).toBe('connected');
  });

  it('is connected before the first round trip is known', () => {
    expect(state({ roundTripMs: undefined })).toBe('connected');
  });

  it('is interrupted after three seconds without an answer and without media, and not before', () => {
    const silent = (ms: number) => state({ silenceMs: ms, mediaSilenceMs: ms });
    expect(silent(INTERRUPTED_AFTER_MS - 1)).toBe('connected');
    expect(silent(INTERRUPTED_AFTER_MS)).toBe('interrupted');
  });

  it('is interrupted when there was neither an answer nor media at all', () => {
    expect(state({ silenceMs: Infinity, mediaSilenceMs: Infinity })).toBe('interrupted');
  });

  it('is weak while media comes and only the answers are missing', () => {
    expect(state({ silenceMs: Infinity, mediaSilenceMs: INTERRUPTED_AFTER_MS - 1 })).toBe('weak');
    expect(state({ silenceMs: Infinity, mediaSilenceMs: INTERRUPTED_AFTER_MS })).toBe('interrupted');
  });

  it('is weak beyond a loss of fifteen percent', () => {
    expect(state({ loss: 0.15 })).toBe('connected');
    expect(state({ loss: 0.151 })).toBe('weak');
    expect(state({ loss: 1 })).toBe('weak');
  });

  it('is weak beyond a round trip of half a second', () => {
    expect(state({ roundTripMs: 500 })).toBe('connected');
    expect(state({ roundTripMs: 501 })).toBe('weak');
  });

  it('is weak when media that should come does not for five seconds', () => {
    expect(state({ expectingMs: 60_000, mediaSilenceMs: 4999 })).toBe('connected');
    expect(state({ expectingMs: 60_000, mediaSilenceMs: 5000 })).toBe('weak');
  });

  it('gives the first media of a source its five seconds, however long nothing came before', () => {
    expect(state({ expectingMs: 4999, mediaSilenceMs: Infinity })).toBe('connected');
    expect(state({ expectingMs: 5000, mediaSilenceMs: Infinity })).toBe('weak');
  });

  it('misses no media of a peer that sends nothing', () => {
    expect(state({ expectingMs: undefined, mediaSilenceMs: Infinity })).toBe('connected');
  });
});

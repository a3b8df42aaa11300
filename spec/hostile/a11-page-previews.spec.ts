/** What a page says about itself is read from its head, with bounds on what is open and on how much is read. */
import { pageSummary } from '../../homeserver/features/media/page-summary.ts';

const META = '<meta property="og:title" content="found">';

describe('A11: the preview of a page', () => {
  it('gives up where too many elements are open at the same time', () => {
    expect(pageSummary(`${'<div>'.repeat(200)}${META}`).properties['og:title']).toBe('found');
    expect(pageSummary(`${'<div>'.repeat(4_000)}${META}`).properties).toEqual({});
    expect(pageSummary('<div>'.repeat(1_000_000)).properties).toEqual({});
    expect(pageSummary(`<svg>${'<g>'.repeat(1_000_000)}`).properties).toEqual({});
  });

  it('reads the head only', () => {
    const filling = 'x'.repeat(5_000);
    expect(pageSummary(`<head>${META}</head><body>${filling}`).properties['og:title']).toBe('found');
    expect(pageSummary(`<head></head><body>${filling}${META}`).properties).toEqual({});
    expect(pageSummary(`<head><!--${'x'.repeat(600_000)}-->${META}`).properties).toEqual({});
  });
});

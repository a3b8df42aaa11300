import { GAP, gridLayout } from './grid-layout.ts';

describe('The grid of the stage', () => {
  it('gives one person the whole stage and fits everybody of a usual meeting without scrolling', () => {
    expect(gridLayout(1600, 900, 1)).toEqual({ columns: 1, tileWidth: 1600, tileHeight: 900 });
    for (const count of [2, 3, 4, 7, 9, 16, 25]) {
      const { columns, tileWidth, tileHeight } = gridLayout(1440, 760, count);
      const rows = Math.ceil(count / columns);
      expect(columns * tileWidth + (columns - 1) * GAP).toBeLessThanOrEqual(1440);
      expect(rows * tileHeight + (rows - 1) * GAP).toBeLessThanOrEqual(760);
    }
  });

  it('puts two people above each other on a phone and beside each other on a wide screen', () => {
    expect(gridLayout(374, 640, 2).columns).toBe(1);
    expect(gridLayout(2560, 1000, 2).columns).toBe(2);
  });

  it('cuts nothing off a picture, but lets tiles of a phone be up to square', () => {
    const wide = gridLayout(1440, 760, 6);
    expect(wide.tileWidth / wide.tileHeight).toBeCloseTo(16 / 9, 1);
    const { columns, tileWidth, tileHeight } = gridLayout(374, 540, 6);
    expect(columns).toBe(2);
    expect(tileWidth).toBe(183);
    expect(tileHeight).toBeGreaterThan(150);
    expect(tileHeight).toBeLessThanOrEqual(tileWidth);
  });

  it('scrolls with readable tiles instead of shrinking for 60 people on a phone', () => {
    const { columns, tileWidth } = gridLayout(374, 640, 60);
    expect(columns).toBe(2);
    expect(tileWidth).toBeGreaterThanOrEqual(160);
  });

  it('makes sense on a stage that has no size yet', () => {
    expect(gridLayout(0, 0, 0)).toEqual({ columns: 1, tileWidth: 1, tileHeight: 0 });
  });
});

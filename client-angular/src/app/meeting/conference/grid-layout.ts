export interface GridLayout {
  columns: number;
  /** CSS pixels. */
  tileWidth: number;
  tileHeight: number;
}

export const GAP = 8;
const RATIO = 16 / 9;
/** Narrower tiles help nobody: then the stage scrolls. CSS pixels. */
const MIN_WIDTH = 160;

/**
 * The largest equal tiles that fit a stage. When they would get too small the stage scrolls instead, with as many
 * columns as have room.
 * @param width of the stage, in CSS pixels
 */
export function gridLayout(width: number, height: number, count: number): GridLayout {
  const tiles = Math.max(1, count);
  let best: GridLayout = { columns: 1, tileWidth: 0, tileHeight: 0 };
  for (let columns = 1; columns <= tiles; columns += 1) {
    const rows = Math.ceil(tiles / columns);
    const byWidth = (width - GAP * (columns - 1)) / columns;
    const byHeight = ((height - GAP * (rows - 1)) / rows) * RATIO;
    const tileWidth = Math.floor(Math.min(byWidth, byHeight));
    if (tileWidth > best.tileWidth) best = { columns, tileWidth, tileHeight: Math.floor(tileWidth / RATIO) };
  }
  if (best.tileWidth >= MIN_WIDTH) return best;
  const columns = Math.max(1, Math.min(tiles, Math.floor((width + GAP) / (MIN_WIDTH + GAP))));
  const tileWidth = Math.max(1, Math.floor((width - GAP * (columns - 1)) / columns));
  return { columns, tileWidth, tileHeight: Math.floor(tileWidth / RATIO) };
}

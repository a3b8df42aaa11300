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
/** On a phone held upright tiles may be square, so that faces are larger; elsewhere nothing of a picture is cut off. */
const PHONE_WIDTH = 600;

/**
 * The largest equal tiles that fit a stage, of 16 to 9 or, on a narrow stage, up to square. When they would get too small the stage scrolls instead, with as many
 * columns as have room.
 * @param width of the stage, in CSS pixels
 */
export function gridLayout(width: number, height: number, count: number): GridLayout {
  const tiles = Math.max(1, count);
  const narrowest = width < PHONE_WIDTH ? 1 : RATIO;
  let best: GridLayout = { columns: 1, tileWidth: 0, tileHeight: 0 };
  for (let columns = 1; columns <= tiles; columns += 1) {
    const rows = Math.ceil(tiles / columns);
    const byWidth = (width - GAP * (columns - 1)) / columns;
    const rowHeight = (height - GAP * (rows - 1)) / rows;
    const tileWidth = Math.floor(Math.min(byWidth, rowHeight * RATIO));
    const tileHeight = Math.floor(Math.min(rowHeight, tileWidth / narrowest));
    if (tileWidth * tileHeight > best.tileWidth * best.tileHeight) best = { columns, tileWidth, tileHeight };
  }
  if (best.tileWidth >= MIN_WIDTH) return best;
  const columns = Math.max(1, Math.min(tiles, Math.floor((width + GAP) / (MIN_WIDTH + GAP))));
  const tileWidth = Math.max(1, Math.floor((width - GAP * (columns - 1)) / columns));
  return { columns, tileWidth, tileHeight: Math.floor(tileWidth / RATIO) };
}

/** How many entries an LRU cache may have. */

/**
 * Options of an `LRUCache` for a number of entries. `max` would take the memory for all of them at once, full or not: 28 bytes
 * each.
 */
export function atMost(entries: number): { readonly maxSize: number; readonly sizeCalculation: () => number } {
  return { maxSize: entries, sizeCalculation: () => 1 };
}

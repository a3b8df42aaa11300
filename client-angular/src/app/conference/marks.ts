/** Moments of a join, for measurements: milliseconds since the page began (`performance.now()`). */
export interface Marks {
  joinClick?: number;
  firstRemoteFrame?: number;
  firstRemoteAudio?: number;
}

export const marks: Marks = {};

/** Begins anew at the click on "Join". */
export function markJoinClick(): void {
  delete marks.firstRemoteFrame;
  delete marks.firstRemoteAudio;
  marks.joinClick = performance.now();
}

/** Keeps the first time only. */
export function markFirst(name: 'firstRemoteFrame' | 'firstRemoteAudio'): void {
  marks[name] ??= performance.now();
}

/** Moments of a join, for measurements: milliseconds since the page began (`performance.now()`). */
export interface Marks {
  joinClick?: number;
  /** The homeserver has answered: who is there, and our transports. */
  joined?: number;
  /** The first picture of somebody was asked for. */
  firstWatch?: number;
  /** The first stream of somebody was offered by the SFU. */
  firstConsumer?: number;
  /** ICE and DTLS of what we receive are complete. */
  receiving?: number;
  firstRemoteAudio?: number;
  firstRemoteFrame?: number;
}

export const marks: Marks = {};

/** Begins anew at the click on "Join". */
export function markJoinClick(): void {
  for (const name of Object.keys(marks) as (keyof Marks)[]) Reflect.deleteProperty(marks, name);
  marks.joinClick = performance.now();
}

/** Keeps the first time only. */
export function markFirst(name: Exclude<keyof Marks, 'joinClick'>): void {
  marks[name] ??= performance.now();
}

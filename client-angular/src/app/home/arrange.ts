import type { Meeting } from '../../../../protocol/client-api.ts';

export interface Arranged {
  /** To be answered, the next one first. */
  invitations: Meeting[];
  /** What the person most likely wants now. */
  next: Meeting | undefined;
  others: Meeting[];
}

/** A planned meeting without an end is taken to last this long, in ms. */
const USUAL_LENGTH_MS = 60 * 60 * 1000;

function isOver(meeting: Meeting, now: number): boolean {
  if (meeting.startsAt === undefined) return false;
  return (meeting.endsAt ?? meeting.startsAt + USUAL_LENGTH_MS) < now;
}

/**
 * The order of the home page: first where people are already, then what is planned by time, then meetings without
 * a time, the newest first; what is over comes last. Where no time was agreed on, the order of the server stays: when a
 * meeting was made is of the clock of whoever made it.
 */
export function arrange(meetings: readonly Meeting[], now: number): Arranged {
  const rank = (meeting: Meeting): number => {
    if (meeting.liveCount > 0) return 0;
    if (isOver(meeting, now)) return 3;
    return meeting.startsAt === undefined ? 2 : 1;
  };
  const sorted = [...meetings].sort((a, b) => {
    const [first, second] = [rank(a), rank(b)];
    if (first !== second) return first - second;
    if (first === 1) return (a.startsAt ?? 0) - (b.startsAt ?? 0);
    return first === 3 ? (b.startsAt ?? 0) - (a.startsAt ?? 0) : 0;
  });
  const own = sorted.filter((meeting) => meeting.membership === 'join');
  const [first, ...rest] = own;
  const next = first && rank(first) < 3 ? first : undefined;
  return { invitations: sorted.filter((meeting) => meeting.membership === 'invite'), next, others: next ? rest : own };
}

/** Reads date and time as people type them in the language of the page. Nothing is guessed silently. */
import { isTime } from '../../../../protocol/values.ts';

/** A day of the calendar; months count from 1. */
export interface Day {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}
export interface TimeOfDay {
  readonly hours: number;
  readonly minutes: number;
}

export type StartProblem =
  | 'date-unreadable'
  /** Such as 31 February. */
  | 'no-such-day'
  /** Before 1970 or after 9999. */
  | 'year'
  | 'date-missing'
  | 'time-unreadable'
  | 'time-missing'
  /** The clocks are put forward over it. */
  | 'skipped-hour'
  | 'past';

export type PlannedStart =
  | { readonly kind: 'none' }
  /** Unix ms. */
  | { readonly kind: 'at'; readonly at: number }
  | { readonly kind: 'problem'; readonly problem: StartProblem };

/** Somebody who types the present minute does not mean the past. */
const PATIENCE_MS = 60_000;

/** Order of day, month and year in a language: `DMY` in German, `MDY` in American English. */
export function dateOrder(locale: string): string {
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'numeric', year: 'numeric' })
    .formatToParts(0)
    .map(({ type }) => ({ day: 'D', month: 'M', year: 'Y' })[type as string] ?? '')
    .join('');
}

/**
 * Reads a date in figures, such as `28.3.2027`, `3/28/2027` or `2027-03-28`. Two figures of a year are of this century;
 * without a year the next such day is meant.
 */
export function readDay(text: string, locale: string, now: number): Day | StartProblem {
  const match = /^\s*(\d+)\s*[./-]\s*(\d+)\s*(?:[./-]\s*(\d+)?)?\s*$/.exec(text);
  if (!match) return 'date-unreadable';
  const [, first = '', second = '', third] = match;
  const order = first.length > 2 ? 'YMD' : dateOrder(locale);
  const parts = third === undefined ? order.replace('Y', '') : order;
  const figures: Record<string, string | undefined> = {};
  [first, second, third].forEach((figure, index) => {
    const part = parts[index];
    if (part !== undefined) figures[part] = figure;
  });
  const [month, day] = [Number(figures['M']), Number(figures['D'])];
  const written = figures['Y'];
  if (written === undefined) return nextSuchDay(month, day, now);
  const year = written.length <= 2 ? 2000 + Number(written) : Number(written);
  if (year < 1970 || year > 9999) return 'year';
  return exists(year, month, day) ? { year, month, day } : 'no-such-day';
}

/** Eight years hold every day of the calendar. */
function nextSuchDay(month: number, day: number, now: number): Day | StartProblem {
  const today = new Date(now).setHours(0, 0, 0, 0);
  const thisYear = new Date(now).getFullYear();
  for (let year = thisYear; year <= thisYear + 8; year += 1) {
    if (exists(year, month, day) && new Date(year, month - 1, day).getTime() >= today) return { year, month, day };
  }
  return 'no-such-day';
}

function exists(year: number, month: number, day: number): boolean {
  const date = new Date(year, month - 1, day);
  return month >= 1 && month <= 12 && date.getMonth() === month - 1 && date.getDate() === day;
}

/** Reads a time such as `14:30`, `14.30 Uhr`, `1430`, `14h` or `2:30 pm`. */
export function readTimeOfDay(text: string): TimeOfDay | undefined {
  const match = /^(\d{1,2})(?:\s*[:.h]\s*(\d{2})|(\d{2}))?\s*(?:h|uhr|o[’']clock)?\s*([ap]\.?\s?m\.?)?$/i.exec(
    text.replace(/[\u00a0\u202f]/g, ' ').trim(),
  );
  if (!match) return undefined;
  const [, hourText, separate, joined, half] = match;
  let hours = Number(hourText);
  const minutes = Number(separate ?? joined ?? 0);
  if (half !== undefined) {
    if (hours < 1 || hours > 12) return undefined;
    hours = (hours % 12) + (/^p/i.test(half) ? 12 : 0);
  }
  return hours <= 23 && minutes <= 59 ? { hours, minutes } : undefined;
}

/** @param dateText what stands in the field for the date; @param timeText the same for the time */
export function readStart(dateText: string, timeText: string, locale: string, now: number): PlannedStart {
  const [hasDate, hasTime] = [dateText.trim() !== '', timeText.trim() !== ''];
  if (!hasDate && !hasTime) return { kind: 'none' };
  const problem = (what: StartProblem): PlannedStart => ({ kind: 'problem', problem: what });
  const day = hasDate ? readDay(dateText, locale, now) : undefined;
  if (typeof day === 'string') return problem(day);
  const time = hasTime ? readTimeOfDay(timeText) : undefined;
  if (hasTime && !time) return problem('time-unreadable');
  if (!day) return problem('date-missing');
  if (!time) return problem('time-missing');
  const start = new Date(day.year, day.month - 1, day.day, time.hours, time.minutes);
  if (start.getHours() !== time.hours || start.getMinutes() !== time.minutes) return problem('skipped-hour');
  const at = start.getTime();
  if (!isTime(at)) return problem('year');
  return at < now - PATIENCE_MS ? problem('past') : { kind: 'at', at };
}

/** What is wrong, and what to do. */
export function startProblemText(problem: StartProblem, example: string): string {
  switch (problem) {
    case 'date-unreadable':
      return $localize`:@@start.dateUnreadable:This is no date. Write it like ${example}:EXAMPLE:, or choose it from the calendar.`;
    case 'no-such-day':
      return $localize`:@@start.noSuchDay:There is no such day in the calendar. Write the date like ${example}:EXAMPLE:.`;
    case 'year':
      return $localize`:@@start.year:Check the year: four figures, such as in ${example}:EXAMPLE:.`;
    case 'date-missing':
      return $localize`:@@start.dateMissing:The date is missing. Say on which day the meeting begins, or clear the time.`;
    case 'time-unreadable':
      return $localize`:@@start.timeUnreadable:This is no time of day. Write it like 14:30.`;
    case 'time-missing':
      return $localize`:@@start.timeMissing:The time is missing. Say when the meeting begins, or clear the date.`;
    case 'skipped-hour':
      return $localize`:@@start.skippedHour:This time does not exist on that day: the clocks are put forward over it. Choose another one.`;
    case 'past':
      return $localize`:@@start.past:This time has passed. Choose a later one, or leave date and time empty to meet at once.`;
  }
}

/** When a meeting is, in the person's zone, with the organiser's zone beside it when the clock differs there. */
import { ChangeDetectionStrategy, Component, computed, inject, input, LOCALE_ID } from '@angular/core';
import { isTime } from '../../../../protocol/values.ts';
import { WallClock } from '../core/wall-clock.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** A start is counted down for this long before it, in minutes. */
const COUNTED_MINUTES = 60;

/** @param timeZone IANA name; the person's own when absent */
function clock(at: number, locale: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, {
    hour: 'numeric',
    minute: '2-digit',
    ...(timeZone ? { timeZone } : {}),
  }).format(at);
}

function upperFirst(text: string, locale: string): string {
  return text.charAt(0).toLocaleUpperCase(locale) + text.slice(1);
}

/** Days from one to another by the calendar, whatever the clocks did between. */
function daysBetween(from: number, to: number): number {
  return Math.round((new Date(to).setHours(0, 0, 0, 0) - new Date(from).setHours(0, 0, 0, 0)) / DAY_MS);
}

/** The day in words: relative where it is near, with the year where it is not this one. Empty for what is no date. */
export function formatDay(at: number, locale: string, now: number): string {
  if (!isTime(at)) return '';
  const days = daysBetween(now, at);
  if (Math.abs(days) <= 1) {
    return upperFirst(new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(days, 'day'), locale);
  }
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  const format: Intl.DateTimeFormatOptions = {
    weekday: 'short',
    day: 'numeric',
    month: 'long',
    ...(sameYear ? {} : { year: 'numeric' }),
  };
  return upperFirst(new Intl.DateTimeFormat(locale, format).format(at), locale);
}

/** Day and time of a meeting. Empty for what is no date: a text of another server never breaks a page. */
export function formatWhen(startsAt: number, endsAt: number | undefined, locale: string, now: number): string {
  if (!isTime(startsAt)) return '';
  const start = `${formatDay(startsAt, locale, now)}, ${clock(startsAt, locale)}`;
  if (endsAt === undefined || !isTime(endsAt) || endsAt <= startsAt) return start;
  const otherDay = daysBetween(startsAt, endsAt) > 0;
  return `${start} – ${otherDay ? `${formatDay(endsAt, locale, now)}, ` : ''}${clock(endsAt, locale)}`;
}

/** "In 5 minutes" shortly before the start, "now" in its minute; otherwise empty. */
export function formatCountdown(startsAt: number, locale: string, now: number): string {
  const minutes = Math.ceil((startsAt - now) / MINUTE_MS);
  if (!isTime(startsAt) || minutes < 0 || minutes > COUNTED_MINUTES) return '';
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  return minutes === 0 ? format.format(0, 'second') : format.format(minutes, 'minute');
}

@Component({
  selector: 'ht-when',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@if (iso(); as iso) {
    <time [attr.datetime]="iso">{{ text() }}</time>
    @if (elsewhere(); as elsewhere) {
      <bdi class="zone"> {{ elsewhere }}</bdi>
    }
    @if (countdown(); as countdown) {
      <strong class="countdown"> {{ countdown }}</strong>
    }
  }`,
  styles: `
    .countdown {
      font-weight: 650;
    }
    .countdown::before {
      content: '· ' / '';
    }
  `,
})
export class When {
  readonly startsAt = input.required<number>();
  readonly endsAt = input<number>();
  readonly timeZone = input<string>();
  readonly #locale = inject(LOCALE_ID);
  readonly #now = inject(WallClock).now;
  protected readonly iso = computed(() => {
    const at = this.startsAt();
    return isTime(at) ? new Date(at).toISOString() : undefined;
  });
  protected readonly text = computed(() => formatWhen(this.startsAt(), this.endsAt(), this.#locale, this.#now()));
  protected readonly countdown = computed(() => formatCountdown(this.startsAt(), this.#locale, this.#now()));
  protected readonly elsewhere = computed(() => {
    const zone = this.timeZone();
    if (!zone) return undefined;
    try {
      const there = clock(this.startsAt(), this.#locale, zone);
      return there === clock(this.startsAt(), this.#locale) ? undefined : `(${there} ${zone})`;
    } catch {
      // A zone that this browser does not know.
      return undefined;
    }
  });
}

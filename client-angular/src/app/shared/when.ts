/** When a meeting is, in the person's zone, with the organiser's zone beside it when the clock differs there. */
import { ChangeDetectionStrategy, Component, computed, inject, input, LOCALE_ID } from '@angular/core';

/** @param timeZone IANA name; the person's own when absent */
function clock(at: number, locale: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, {
    hour: 'numeric',
    minute: '2-digit',
    ...(timeZone ? { timeZone } : {}),
  }).format(at);
}

export function formatWhen(startsAt: number, endsAt: number | undefined, locale: string, now: number): string {
  const date = new Date(startsAt);
  const days = Math.round((new Date(startsAt).setHours(0, 0, 0, 0) - new Date(now).setHours(0, 0, 0, 0)) / 86_400_000);
  const day =
    days === 0 || days === 1
      ? new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(days, 'day')
      : new Intl.DateTimeFormat(locale, { weekday: 'short', day: 'numeric', month: 'long' }).format(date);
  const time = endsAt === undefined ? clock(startsAt, locale) : `${clock(startsAt, locale)} – ${clock(endsAt, locale)}`;
  return `${day.charAt(0).toLocaleUpperCase(locale)}${day.slice(1)}, ${time}`;
}

@Component({
  selector: 'ht-when',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `<time [attr.datetime]="iso()">{{ text() }}</time>
    @if (elsewhere(); as elsewhere) {
      <span class="zone"> {{ elsewhere }}</span>
    }`,
})
export class When {
  readonly startsAt = input.required<number>();
  readonly endsAt = input<number>();
  readonly timeZone = input<string>();
  readonly #locale = inject(LOCALE_ID);
  protected readonly iso = computed(() => new Date(this.startsAt()).toISOString());
  protected readonly text = computed(() => formatWhen(this.startsAt(), this.endsAt(), this.#locale, Date.now()));
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

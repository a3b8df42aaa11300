/** Calendar and list of times in the language of the page, with the same reading as `planned-start.ts`. */
import { inject, Injectable, LOCALE_ID, type Provider } from '@angular/core';
import { DateAdapter, MAT_DATE_FORMATS, MAT_DATE_LOCALE, NativeDateAdapter } from '@angular/material/core';
import { MatDatepickerIntl } from '@angular/material/datepicker';
import { readDay, readTimeOfDay } from './planned-start.ts';

@Injectable()
class LocalDateAdapter extends NativeDateAdapter {
  override parse(value: unknown): Date | null {
    if (typeof value !== 'string' || value.trim() === '') return null;
    const day = readDay(value, this.locale as string, Date.now());
    return typeof day === 'string' ? this.invalid() : this.createDate(day.year, day.month - 1, day.day);
  }

  override parseTime(value: unknown): Date | null {
    if (typeof value !== 'string' || value.trim() === '') return null;
    const time = readTimeOfDay(value);
    return time ? this.setTime(this.today(), time.hours, time.minutes, 0) : this.invalid();
  }
}

@Injectable()
class LocalDatepickerIntl extends MatDatepickerIntl {
  override calendarLabel = $localize`:@@calendar.label:Calendar`;
  override openCalendarLabel = $localize`:@@calendar.open:Open the calendar`;
  override closeCalendarLabel = $localize`:@@calendar.close:Close the calendar`;
  override prevMonthLabel = $localize`:@@calendar.previousMonth:Previous month`;
  override nextMonthLabel = $localize`:@@calendar.nextMonth:Next month`;
  override prevYearLabel = $localize`:@@calendar.previousYear:Previous year`;
  override nextYearLabel = $localize`:@@calendar.nextYear:Next year`;
  override prevMultiYearLabel = $localize`:@@calendar.previousYears:Previous 24 years`;
  override nextMultiYearLabel = $localize`:@@calendar.nextYears:Next 24 years`;
  override switchToMonthViewLabel = $localize`:@@calendar.chooseDay:Choose a day`;
  override switchToMultiYearViewLabel = $localize`:@@calendar.chooseMonth:Choose month and year`;
}

const FORMATS = {
  parse: { dateInput: null, timeInput: null },
  display: {
    dateInput: { year: 'numeric', month: '2-digit', day: '2-digit' },
    timeInput: { hour: 'numeric', minute: '2-digit' },
    monthYearLabel: { year: 'numeric', month: 'short' },
    dateA11yLabel: { year: 'numeric', month: 'long', day: 'numeric' },
    monthYearA11yLabel: { year: 'numeric', month: 'long' },
    timeOptionLabel: { hour: 'numeric', minute: '2-digit' },
  },
} as const;

export function provideLocalDates(): Provider[] {
  return [
    { provide: MAT_DATE_LOCALE, useFactory: () => inject(LOCALE_ID) },
    { provide: DateAdapter, useClass: LocalDateAdapter },
    { provide: MAT_DATE_FORMATS, useValue: FORMATS },
    { provide: MatDatepickerIntl, useClass: LocalDatepickerIntl },
  ];
}

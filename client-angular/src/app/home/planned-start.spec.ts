import { readDay, readStart, readTimeOfDay } from './planned-start.ts';

const NOW = new Date(2027, 2, 1, 12, 0).getTime();

describe('A date as it is typed', () => {
  for (const [text, locale] of [
    ['28.3.2027', 'de'],
    ['28.03.27', 'de'],
    ['28. 3.', 'de'],
    ['28/3/2027', 'en-GB'],
    ['3/28/2027', 'en'],
    ['2027-03-28', 'de'],
    ['2027-03-28', 'en'],
  ] as const) {
    it(`like ${text} is read in ${locale}`, () => {
      expect(readDay(text, locale, NOW)).toEqual({ year: 2027, month: 3, day: 28 });
    });
  }

  it('without a year is the next such day', () => {
    expect(readDay('28.2.', 'de', NOW)).toEqual({ year: 2028, month: 2, day: 28 });
    expect(readDay('1.3.', 'de', NOW)).toEqual({ year: 2027, month: 3, day: 1 });
    expect(readDay('29.2', 'de', NOW)).toEqual({ year: 2028, month: 2, day: 29 });
  });

  it('that does not exist is refused', () => {
    for (const text of ['31.2.2027', '31.02.', '29.2.2027', '0.1.2027', '1.13.2027', '32.1.2027']) {
      expect(readDay(text, 'de', NOW))
        .withContext(text)
        .toBe('no-such-day');
    }
    for (const text of ['28.3.20266', '28.3.0202', '1.1.1969', '1.1.12345']) {
      expect(readDay(text, 'de', NOW))
        .withContext(text)
        .toBe('year');
    }
    for (const text of ['', '28', '28.', '.3.2027', 'morgen', '28.3.2027 14:30', '28..2027']) {
      expect(readDay(text, 'de', NOW))
        .withContext(text)
        .toBe('date-unreadable');
    }
  });
});

describe('A time as it is typed', () => {
  it('is read in the usual ways', () => {
    const half = { hours: 14, minutes: 30 };
    for (const text of ['14:30', '14.30 Uhr', '1430', '14h30', '2:30 pm', '2:30\u202fPM', ' 02:30 p.m. ']) {
      expect(readTimeOfDay(text)).withContext(text).toEqual(half);
    }
    expect(readTimeOfDay('9')).toEqual({ hours: 9, minutes: 0 });
    expect(readTimeOfDay('12 am')).toEqual({ hours: 0, minutes: 0 });
    expect(readTimeOfDay('12:00 PM')).toEqual({ hours: 12, minutes: 0 });
  });

  it('that does not exist is refused', () => {
    for (const text of ['24:00', '14:60', '14:3', 'bald', '13 pm', '0 am', '143000']) {
      expect(readTimeOfDay(text)).withContext(text).toBeUndefined();
    }
  });
});

describe('A planned start', () => {
  const read = (date: string, time: string): unknown => {
    const start = readStart(date, time, 'de', NOW);
    return start.kind === 'problem' ? start.problem : start.kind === 'at' ? start.at : start.kind;
  };

  it('needs date and time, or neither', () => {
    expect(read('', ' ')).toBe('none');
    expect(read('28.3.2027', '')).toBe('time-missing');
    expect(read('', '14:30')).toBe('date-missing');
    expect(read('28.3.2027', '14:30')).toBe(new Date(2027, 2, 28, 14, 30).getTime());
  });

  it('lies ahead', () => {
    expect(read('1.3.2027', '11:58')).toBe('past');
    expect(read('1.3.2027', '12:00')).toBe(NOW);
    expect(read('31.12.9999', '23:00')).toBe(new Date(9999, 11, 31, 23).getTime());
  });

  it('is not in an hour that the clocks skip', () => {
    // Karma runs in the zone of Berlin.
    expect(new Date(2027, 2, 28, 2, 30).getHours()).toBe(3);
    expect(read('28.3.2027', '2:30')).toBe('skipped-hour');
    expect(read('28.3.2027', '3:00')).toBe(Date.UTC(2027, 2, 28, 1));
    expect(read('31.10.2027', '2:30')).toBe(Date.UTC(2027, 9, 31, 0, 30));
  });
});

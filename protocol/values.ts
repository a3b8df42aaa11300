/**
 * Values from users and other servers that are displayed: checked for range as well as type, and one bad item never
 * invalidates a whole list.
 */
import * as z from 'zod';

/** Last millisecond of the year 9999, Unix ms. */
export const MAX_TIME = Date.UTC(10_000, 0, 1) - 1;

/** Unix ms, years 1970 to 9999: what every calendar can show. */
export const timeSchema = z.number().int().min(0).max(MAX_TIME);

/** An optional time. An invalid one counts as missing, so that the rest of the object can be used. */
export const shownTimeSchema = timeSchema.optional().catch(undefined);

/** Whether the value can be shown as a date. */
export function isTime(value: unknown): value is number {
  return timeSchema.safeParse(value).success;
}

/** A list whose items are parsed one by one: invalid items are left out. */
export function listOf<S extends z.ZodType>(item: S) {
  return z.array(z.unknown()).transform((items): z.output<S>[] =>
    items.flatMap((value) => {
      const parsed = item.safeParse(value);
      return parsed.success ? [parsed.data] : [];
    }),
  );
}

/**
 * An object with any keys. Its entries are counted before any is parsed, and parsing stops at the first bad one:
 * `z.record` parses all, and 100,000 bad ones in a body of 1 MiB take seconds. A key `__proto__` is left out.
 */
export function dictionaryOf<V extends z.ZodType>(key: z.ZodType<string>, value: V, maxEntries: number) {
  return z.unknown().transform((input, context): Record<string, z.output<V>> => {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) {
      context.addIssue({ code: 'custom', message: 'is no object' });
      return z.NEVER;
    }
    if (Object.keys(input).length > maxEntries) {
      context.addIssue({ code: 'custom', message: 'has too many entries' });
      return z.NEVER;
    }
    const read: [string, z.output<V>][] = [];
    for (const [name, one] of Object.entries(input)) {
      if (name === '__proto__') continue;
      const parsedKey = key.safeParse(name);
      const parsed = value.safeParse(one);
      const [issue] = parsedKey.error?.issues ?? parsed.error?.issues ?? [];
      if (issue || !parsed.success) {
        const path = parsedKey.success ? [name, ...(issue?.path ?? [])] : [];
        context.addIssue({ code: 'custom', message: issue?.message ?? 'malformed', path });
        return z.NEVER;
      }
      read.push([name, parsed.data]);
    }
    return Object.fromEntries(read);
  });
}

/** CSS colour `#rrggbb`. */
export const colourSchema = z.string().regex(/^#[0-9a-fA-F]{6}$/);

/** An IANA time zone known to this runtime. */
export const timeZoneSchema = z.string().max(64).refine(isKnownZone, 'is not a time zone');

/** Whether an unvalidated value is such a time zone. */
export function isTimeZone(value: unknown): value is string {
  return timeZoneSchema.safeParse(value).success;
}

function isKnownZone(name: string): boolean {
  // `Intl` also accepts offsets such as `+02:00`, which lack summer time.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

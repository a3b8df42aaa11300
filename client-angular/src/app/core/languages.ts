/** The languages that the client is built in. Each is a folder of its own; a choice is kept in a cookie. */
import { inject, Injectable, LOCALE_ID } from '@angular/core';

export const LANGUAGES = [
  { code: 'en', name: 'English' },
  { code: 'de', name: 'Deutsch' },
] as const;
export type LanguageCode = (typeof LANGUAGES)[number]['code'];

/** The server reads this cookie when it sends somebody from `/` to a language. */
const COOKIE = 'hansetag-language';
const YEAR_S = 365 * 24 * 3600;

@Injectable({ providedIn: 'root' })
export class Languages {
  readonly current: LanguageCode = inject(LOCALE_ID).startsWith('de') ? 'de' : 'en';

  /** Opens the same place in another language. */
  change(code: LanguageCode): void {
    document.cookie = `${COOKIE}=${code}; path=/; max-age=${String(YEAR_S)}; samesite=lax`;
    const base = new URL(document.baseURI).pathname;
    const inside = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : '';
    location.assign(`/${code}/${inside}${location.search}`);
  }
}

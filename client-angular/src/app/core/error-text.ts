/** A sentence for every failure: what failed, where, and what to do. Server texts are never shown alone. */
import { ApiError } from './api-error.ts';
import { isolate } from './isolate.ts';
import { untrustedText } from './untrusted-text.ts';

/** What an organisation is called, by server name, ready for a sentence. */
export type NameOf = (serverName: string) => string;

function sentence(error: ApiError, nameOf: NameOf): string {
  const { status, errcode, organisation, organisationName, untrusted } = error;
  if (status === 0) {
    return $localize`:@@error.unreachable:Your organisation’s server does not answer. Check your connection and try again.`;
  }
  const name = organisationName === undefined ? nameOf(organisation ?? '') : isolate(organisationName);
  if (organisation !== undefined && untrusted !== undefined) return untrustedText(name, untrusted);
  if (organisation !== undefined && status >= 500) {
    return $localize`:@@error.organisation:The server of ${name}:ORGANISATION: could not be reached. Everything in your own organisation works; try again later.`;
  }
  if (errcode === 'M_GUEST_ACCESS_FORBIDDEN') {
    return $localize`:@@error.guest:Guests can not do this. Ask the person who invited you.`;
  }
  switch (status) {
    case 401:
      return $localize`:@@error.signedOut:Your log-in has ended. Please log in again.`;
    case 403:
      return $localize`:@@error.forbidden:You do not have the right to do this. Ask the person who leads the meeting.`;
    case 404:
      return $localize`:@@error.notFound:This does not exist any more, or you are not invited.`;
    case 429: {
      const seconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1_000));
      return error.retryAfterMs === undefined
        ? $localize`:@@error.tooMany:Very many requests reach your organisation’s server at the moment. Try again in a minute.`
        : $localize`:@@error.tooManyUntil:Very many requests reach your organisation’s server at the moment. Try again in ${seconds}:SECONDS: s.`;
    }
    case 400:
      return $localize`:@@error.badRequest:The server could not use this input. Check it and try again.`;
    default:
      return $localize`:@@error.internal:Something went wrong on your organisation’s server. Try again; if it stays, tell the help desk.`;
  }
}

/** @param nameOf what organisations are called; without it they go by their server names */
export function errorText(error: unknown, nameOf: NameOf = isolate): string {
  if (!(error instanceof ApiError)) {
    return $localize`:@@error.client:Something went wrong in this page. Reload it; if it stays, tell the help desk.`;
  }
  if (error.reference === undefined) return sentence(error, nameOf);
  return `${sentence(error, nameOf)} ${$localize`:@@error.reference:(Code for the help desk: ${error.reference}:REFERENCE:)`}`;
}

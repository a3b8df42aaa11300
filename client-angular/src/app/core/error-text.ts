/** A sentence for every failure: what failed, where, and what to do. Server texts are never shown alone. */
import { ApiError } from './api-error.ts';

function sentence(error: ApiError): string {
  const { status, errcode, organisation } = error;
  if (status === 0) {
    return $localize`:@@error.unreachable:Your organisation’s server does not answer. Check your connection and try again.`;
  }
  if (organisation !== undefined && status >= 500) {
    return $localize`:@@error.organisation:The server of ${organisation}:ORGANISATION: could not be reached. Everything in your own organisation works; try again later.`;
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
    case 429:
      return $localize`:@@error.tooMany:That was too fast. Wait a moment and try again.`;
    case 400:
      return $localize`:@@error.badRequest:The server could not use this input. Check it and try again.`;
    default:
      return $localize`:@@error.internal:Something went wrong on your organisation’s server. Try again; if it stays, tell the help desk.`;
  }
}

export function errorText(error: unknown): string {
  if (!(error instanceof ApiError)) {
    return $localize`:@@error.client:Something went wrong in this page. Reload it; if it stays, tell the help desk.`;
  }
  if (error.reference === undefined) return sentence(error);
  return `${sentence(error)} ${$localize`:@@error.reference:(Code for the help desk: ${error.reference}:REFERENCE:)`}`;
}

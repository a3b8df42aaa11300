/** What somebody is told who comes by a guest link, or by a code of one, and is not let in. */
import { LINK_ERRORS } from '../../../../protocol/guest-links.ts';
import { ApiError } from './api-error.ts';
import { errorText, type NameOf } from './error-text.ts';

/** Whether it is about the link or the code itself, so that trying again helps nobody. */
export function isOver(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404 && error.errcode !== LINK_ERRORS.noOrganisation;
}

export function linkErrorText(error: unknown, nameOf?: NameOf): string {
  if (!(error instanceof ApiError)) return errorText(error, nameOf);
  switch (error.errcode) {
    case LINK_ERRORS.expired:
      return $localize`:@@guest.expired:The time of this link is over. Ask the person who invited you for a new one.`;
    case LINK_ERRORS.usedUp:
      return $localize`:@@guest.usedUp:As many people have come by this link as it is meant for. Ask the person who invited you for another one.`;
    case LINK_ERRORS.code:
      return $localize`:@@guest.code:This way into the meeting counts once and for two minutes, and that time is over. Open the link from your invitation again and choose your organisation there; you are logged in now, so it will be quick.`;
    case LINK_ERRORS.noOrganisation:
      return $localize`:@@guest.noOrganisation:No organisation of this name was found. Check the spelling: it looks like hamburg.example. You can also enter as a guest.`;
    case 'M_GUEST_ACCESS_FORBIDDEN':
      return $localize`:@@guest.noGuests:This meeting lets no guests in at present. Log in, or ask the person who invited you.`;
  }
  if (error.status === 404)
    return $localize`:@@guest.invalid:This link is not valid (any more). Ask the person who invited you for a new one.`;
  if (error.status === 403 && error.organisation === undefined)
    return $localize`:@@guest.refused:This meeting does not let you in. Ask the person who invited you.`;
  return errorText(error, nameOf);
}

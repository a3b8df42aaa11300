/** Why the own organisation is not connected to another one, in words. */
import { isolate } from './isolate.ts';

/** @param reason as in `untrustedOrganisationSchema` (protocol/session.ts); others are told in general */
export function untrustedReason(reason: string | undefined): string {
  switch (reason) {
    case 'not-listed':
      return $localize`:@@untrusted.notListed:Your organisation does not allow connections to this organisation.`;
    case 'no-statement':
      return $localize`:@@untrusted.noStatement:This organisation does not show a certificate.`;
    case 'unreachable':
      return $localize`:@@untrusted.unreachable:The certificate of this organisation could not be fetched. Your organisation’s server keeps trying.`;
    case 'not-yet-valid':
      return $localize`:@@untrusted.notYetValid:The certificate of this organisation is not valid yet.`;
    case 'expired':
      return $localize`:@@untrusted.expired:The certificate of this organisation has expired.`;
    case 'revoked':
      return $localize`:@@untrusted.revoked:The certificate of this organisation was revoked.`;
    case 'revocation-unknown':
      return $localize`:@@untrusted.revocationUnknown:Whether the certificate of this organisation was revoked cannot be found out at the moment.`;
    default:
      return $localize`:@@untrusted.other:Your organisation does not accept the certificate of this organisation.`;
  }
}

/**
 * What failed because of that, why, and what to do.
 *
 * @param organisation its name, ready for a sentence
 */
export function untrustedText(organisation: string, reason: string | undefined): string {
  return $localize`:@@untrusted.text:Your organisation is not connected to ${organisation}:ORGANISATION:. ${untrustedReason(reason)}:REASON: Tell the help desk.`;
}

/** An organisation was connected and is not any more. */
export function untrustedNow(displayName: string, reason: string): string {
  return $localize`:@@untrusted.now:${isolate(displayName)}:ORGANISATION: is not connected any more. ${untrustedReason(reason)}:REASON:`;
}

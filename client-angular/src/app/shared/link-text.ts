/** What a guest link is, in words: who may enter by it, until when, and who did. */
import type { GuestRule, Link } from '../../../../protocol/guest-links.ts';
import { isolate } from '../core/isolate.ts';
import { formatWhen } from './when.ts';

/** The link that "Copy link" is about: for everybody, without bounds but a time. */
export function isUsual({ url, purpose, maxUses, mode, password }: Link): boolean {
  return url !== undefined && purpose === undefined && maxUses === undefined && mode === 'direct' && !password;
}

/** @param guests what the meeting makes of guests */
export function whoMayEnter({ mode }: Pick<Link, 'mode'>, guests: GuestRule): string {
  if (guests === 'no') {
    return $localize`:@@links.whoAccounts:At present this meeting lets no guests in. People with an account can use the link.`;
  }
  if (guests === 'wait' || mode === 'waiting') {
    return $localize`:@@links.whoWaits:Whoever has this link waits as a guest until a moderator lets them in. No account is needed.`;
  }
  return $localize`:@@links.whoEnters:Whoever has this link enters as a guest at once. No account is needed. Give it only to those you mean.`;
}

export function untilWhen({ expiresAt }: Pick<Link, 'expiresAt'>, locale: string, now: number): string {
  if (expiresAt === undefined) return $localize`:@@links.untilEnded:It is valid until you end it.`;
  return $localize`:@@links.until:It is valid until: ${formatWhen(expiresAt, undefined, locale, now)}:WHEN:.`;
}

/** How it is told apart from the others. */
export function nameOfLink(link: Link): string {
  if (link.purpose !== undefined) return isolate(link.purpose);
  return isUsual(link)
    ? $localize`:@@links.usual:The usual link of this meeting`
    : $localize`:@@links.unnamed:Link without a purpose`;
}

/** What is special about it, one fact each. */
export function factsOf(link: Link, locale: string, now: number): string[] {
  const { mode, password, maxUses, uses, expiresAt } = link;
  return [
    ...(expiresAt === undefined ? [] : [untilWhen(link, locale, now)]),
    ...(mode === 'waiting' ? [$localize`:@@links.factWaits:Who comes by it waits to be let in.`] : []),
    ...(password ? [$localize`:@@links.factPassword:It asks for a password.`] : []),
    usesOf(uses, maxUses),
  ];
}

function usesOf(uses: number, maxUses: number | undefined): string {
  if (maxUses !== undefined) {
    return $localize`:@@links.usesOf:${uses}:COUNT: of at most ${maxUses}:MOST: people came by it.`;
  }
  if (uses === 0) return $localize`:@@links.usesNone:Nobody has come by it yet.`;
  if (uses === 1) return $localize`:@@links.usesOne:1 person came by it.`;
  return $localize`:@@links.uses:${uses}:COUNT: people came by it.`;
}

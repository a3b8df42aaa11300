/** How people are described to clients: a name that is safe to show, and whether anybody vouches for it. */
import { serverOf, type Pdu } from '../../federation/event.ts';
import { displayName } from '../../protocol/display-text.ts';
import { GUEST_PREFIX } from '../accounts/localpart.ts';
import { GUEST_FIELD } from '../base/names.ts';

/** The localpart of a user id: what stands between `@` and the first `:`. */
export function localpartOf(userId: string): string {
  return userId.slice(1, userId.indexOf(':'));
}

/** The name in a membership event, made safe; the localpart stands in for none. */
export function nameIn(member: Pick<Pdu, 'content'> | undefined, userId: string): string {
  return displayName(member?.content['displayname']) ?? localpartOf(userId);
}

/**
 * Whether somebody came by a link, without an account. Of our own people we know it; of others their own server says it in
 * the membership that it signs. Who invites somebody says nothing about that.
 */
export function isGuest(userId: string, member: Pdu | undefined, serverName: string): boolean {
  if (serverOf(userId) === serverName) return localpartOf(userId).startsWith(GUEST_PREFIX);
  return member?.sender === userId && member.content[GUEST_FIELD] === true;
}

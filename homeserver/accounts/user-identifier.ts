import type { Accounts } from './accounts.ts';

/** Who a log-in names, in the form of today (`identifier`) or of old clients (`user`). */
export interface NamesUser {
  readonly identifier?: { readonly type: string; readonly user?: string | undefined } | undefined;
  readonly user?: string | undefined;
}

/**
 * The user id that somebody names, whole or as its local part, in upper or lower case. Whether there is such a user is
 * not looked up.
 *
 * @returns undefined when nobody of this server is named in a form that is known
 * @see Matrix specification, client-server API, "Identifier types"
 */
export function namedUser({ identifier, user }: NamesUser, accounts: Accounts): string | undefined {
  if (identifier !== undefined && identifier.type !== 'm.id.user') return undefined;
  const name = identifier?.user ?? user;
  if (name === undefined || name === '') return undefined;
  const localpart = name.startsWith('@') ? accounts.localpart(name) : name;
  return localpart === undefined ? undefined : accounts.userId(localpart.toLowerCase());
}

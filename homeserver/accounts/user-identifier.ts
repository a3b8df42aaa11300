import type { Accounts } from './accounts.ts';

/** The user named in a log-in, in the current form (`identifier`) or that of old clients (`user`). */
export interface NamesUser {
  readonly identifier?: { readonly type: string; readonly user?: string | undefined } | undefined;
  readonly user?: string | undefined;
}

/**
 * The user id for a full id or localpart in any case. Does not check whether the user exists.
 *
 * @returns undefined when it is not a local user or not a known identifier type
 * @see Matrix specification, client-server API, "Identifier types"
 */
export function namedUser({ identifier, user }: NamesUser, accounts: Accounts): string | undefined {
  if (identifier !== undefined && identifier.type !== 'm.id.user') return undefined;
  const name = identifier?.user ?? user;
  if (name === undefined || name === '') return undefined;
  const localpart = name.startsWith('@') ? accounts.localpart(name) : name;
  return localpart === undefined ? undefined : accounts.userId(localpart.toLowerCase());
}

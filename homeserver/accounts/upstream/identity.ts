import { checkedName, MAX_DISPLAY_NAME } from '../accounts.ts';
import type { Accounts, Identity } from '../accounts.ts';
import type { Profiles } from '../profiles.ts';

/** The realm role that makes somebody an administrator of this instance. */
export const ADMIN_ROLE = 'hansetag-admin';

/**
 * Takes over what the identity provider says about somebody: a new name, and whether they administer the instance. A
 * name that somebody has chosen here stays until the provider has another one than before.
 */
export function followIdentity({
  accounts,
  profiles,
}: {
  readonly accounts: Accounts;
  readonly profiles: Profiles;
}): (userId: string, identity: Identity) => Promise<void> {
  return async (userId, { displayName, roles }) => {
    const name = checkedName((displayName ?? '').slice(0, MAX_DISPLAY_NAME));
    if (name !== undefined && (await accounts.takeUpstreamName(userId, name))) {
      await profiles.set(userId, 'displayname', name);
    }
    // Where the provider says nothing of roles, administrators are made here.
    if (roles === undefined) return;
    const isAdmin = roles.includes(ADMIN_ROLE);
    const account = await accounts.find(userId);
    if (account !== undefined && account.admin !== isAdmin) await accounts.setAdmin(userId, isAdmin);
  };
}

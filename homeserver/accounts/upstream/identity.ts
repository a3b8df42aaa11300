import { checkedName, MAX_DISPLAY_NAME } from '../accounts.ts';
import type { Accounts, Identity } from '../accounts.ts';
import type { Profiles } from '../profiles.ts';
import { ADMIN_ROLE } from './roles.ts';

/**
 * Takes over what the identity provider says about somebody: a new name, a verified mail address, and whether they
 * administer the instance. A name that somebody has chosen here stays until the provider has another one than before.
 */
export function followIdentity({
  accounts,
  profiles,
}: {
  readonly accounts: Accounts;
  readonly profiles: Profiles;
}): (userId: string, identity: Identity) => Promise<void> {
  return async (userId, { name: upstreamName, email, roles }) => {
    const name = checkedName((upstreamName ?? '').slice(0, MAX_DISPLAY_NAME));
    if (name !== undefined && (await accounts.takeUpstreamName(userId, name))) {
      await profiles.set(userId, 'displayname', name);
    }
    await accounts.takeEmail(userId, email);
    // Where the provider says nothing of roles, administrators are made here.
    if (roles === undefined) return;
    const isAdmin = roles.includes(ADMIN_ROLE);
    const account = await accounts.find(userId);
    if (account !== undefined && account.admin !== isAdmin) await accounts.setAdmin(userId, isAdmin);
  };
}

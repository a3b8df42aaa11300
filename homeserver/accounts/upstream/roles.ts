/** Roles at the identity provider that mean something here. */

/** Makes somebody an administrator of this instance. */
export const ADMIN_ROLE = 'hansetag-admin';

/** Makes somebody an administrator of the own tenant, and of nothing else. */
export const TENANT_ADMIN_ROLE = 'hansetag-tenant-admin';

/** Lets a service in by credentials of its own. */
export const SERVICE_ROLE = 'hansetag-service';

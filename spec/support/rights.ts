import type { LocalRights } from '../../homeserver/engine/rooms/ports.ts';

/** For specs in which users have no accounts: everybody may do everything. */
export const EVERYTHING: LocalRights = {
  require: () => Promise.resolve({ guest: false }),
  isGuest: () => Promise.resolve(false),
};

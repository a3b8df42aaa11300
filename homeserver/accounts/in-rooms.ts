/** Effects of accounts in rooms: profile changes, guest access, deactivation, server notices. */
import type { Logger } from 'pino';
import type { Database } from '../database/database.ts';
import type { Rooms } from '../engine/rooms/rooms.ts';
import { ProfileAnnouncer } from './announce-profile.ts';
import { GuestAccess } from './guest-access.ts';
import type { GuestAccessOptions } from './guest-access.ts';
import type { AccountsFeature } from './index.ts';
import { RoomLeaver } from './leave-rooms.ts';
import { ServerNotices } from './server-notices.ts';

export interface AccountsInRoomsDeps
  extends Pick<AccountsFeature, 'accounts' | 'profiles' | 'requireSession'>, Pick<GuestAccessOptions, 'roomOfAlias'> {
  readonly db: Database;
  readonly rooms: Rooms;
  /** Display name of the organisation. */
  readonly organisation: string;
  readonly log: Logger;
}

export interface AccountsInRooms {
  readonly guestAccess: GuestAccess;
  readonly notices: ServerNotices;
  /** Makes an account leave all of its rooms, in the background. */
  readonly leaveRooms: (userId: string) => void;
  /** Resumes what a restart interrupted. */
  start(): Promise<void>;
  close(): void;
}

export async function makeAccountsInRooms(deps: AccountsInRoomsDeps): Promise<AccountsInRooms> {
  const { accounts, profiles, rooms, log } = deps;
  const guestAccess = new GuestAccess(deps);
  const leaver = new RoomLeaver(accounts, rooms, log);
  const announcer = new ProfileAnnouncer(rooms, profiles, log);
  profiles.onChange(async (userId, field) => {
    if (field === 'displayname' || field === 'avatar_url') await announcer.announce(userId);
  });
  return {
    guestAccess,
    notices: await ServerNotices.open(deps),
    leaveRooms: (userId) => leaver.leave(userId),
    start: () => leaver.resume(),
    close: () => {
      leaver.close();
      guestAccess.close();
    },
  };
}

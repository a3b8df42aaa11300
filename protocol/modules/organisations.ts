/** Which organisations may take part in a meeting. */
import * as z from 'zod';
import { serverNameSchema } from '../ids.ts';

const organisation = z.object({ serverName: serverNameSchema });
/** Organisations that could not be told within a few seconds. */
const outcome = z.object({ unreached: z.array(serverNameSchema) });
/** By their names in the room's access list, which has no ports. */
const shutOut = z.object({ shutOut: z.array(z.string().max(255)).max(500) });

export const requests = {
  /**
   * Shuts a whole organisation out: its link is closed and its people are out. Needs the right `shut-out`; refused for the
   * own organisation and that of the meeting.
   */
  'organisations.shut-out': { params: organisation, result: outcome },
  /** Lets it in again. Its people need an invitation. */
  'organisations.let-in': { params: organisation, result: outcome },
  'organisations.list-shut-out': { params: z.object({}), result: shutOut },
} as const;

export const notifications = {
  /** All of them, and who has changed that. */
  'organisations.shut-out-changed': shutOut.extend({ by: z.string().max(256), organisation: serverNameSchema }),
} as const;

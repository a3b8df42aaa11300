/** Ids as they stand in the messages of the session protocol. Who invites people checks them closer (matrix-id.ts). */
import * as z from 'zod';

export const userIdSchema = z.string().min(3).max(255).startsWith('@');
export const roomIdSchema = z.string().min(2).max(255).startsWith('!');
export const serverNameSchema = z.string().min(1).max(255);
/** Matrix event id. */
export const eventIdSchema = z.string().max(255);
/** Makes a request that is sent twice count once. */
export const transactionIdSchema = z.string().min(1).max(255);
/** `<user id>|<device id>`: a participant is one user with one device, unique across organisations. */
export const participantIdSchema = z.string().min(5).max(512);

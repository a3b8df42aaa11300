/** Roles in a meeting and the rights that go with them, as the homeserver judges them and clients show them. */
import * as z from 'zod';

export const roleSchema = z.enum(['owner', 'moderator', 'participant', 'guest']);
export type Role = z.infer<typeof roleSchema>;

/** What not everybody may do in a meeting. docs/use.md says which role may do what. */
export const rightSchema = z.enum([
  'invite',
  'admit',
  'mute',
  'camera-off',
  'stop-share',
  'ask-unmute',
  'rename-others',
  'remove',
  'ban',
  'end',
  'appoint',
  'shut-out',
  'set-rules',
  'read-log',
  'lower-hands',
  'switch-hands',
  'switch-reactions',
]);
export type Right = z.infer<typeof rightSchema>;

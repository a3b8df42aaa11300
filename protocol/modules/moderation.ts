/** What moderators do to others: it is done at the instance of each, whichever it is. */
import * as z from 'zod';
import { participantIdSchema, serverNameSchema, userIdSchema } from '../ids.ts';
import { listOf } from '../values.ts';

/** So many participants stand in one request. */
export const MOST_PARTICIPANTS = 500;
/** So many names stand in `moderation.told`; `count` says how many people it is about. */
export const MOST_NAMES = 5;

/** What somebody does to others, as those are told of whom it is true. */
export const moderationActionSchema = z.enum([
  'mute',
  'camera-off',
  'stop-share',
  'ask-unmute',
  'lower-hand',
  'rename',
  'wait',
  'remove',
  'ban',
  'end',
  'make-owner',
  'make-moderator',
  'make-participant',
]);
export type ModerationAction = z.infer<typeof moderationActionSchema>;
/** What leaves people in the conference, and is done to several at once. */
export type SeatAction = Extract<ModerationAction, 'mute' | 'camera-off' | 'stop-share' | 'ask-unmute' | 'lower-hand'>;
/** What takes people out of conference and room. */
export type RemovalAction = Extract<ModerationAction, 'remove' | 'ban' | 'wait'>;

/** For whom a meeting is ended. `participants`: for all but those who lead it, who stay connected (debriefing). */
export const endForSchema = z.enum(['guests', 'participants', 'everybody']);
export type EndFor = z.infer<typeof endForSchema>;

/** Roles that are given; whoever came by a link and has no other role is a guest. */
export const givenRoleSchema = z.enum(['owner', 'moderator', 'participant']);
export type GivenRole = z.infer<typeof givenRoleSchema>;

const several = z.object({ participantIds: z.array(participantIdSchema).min(1).max(MOST_PARTICIPANTS) });
const outcome = z.object({
  /** Organisations that could not be told within a few seconds. */
  unreached: z.array(serverNameSchema),
  /** To whom it was not done, because they have as much power, or it cannot be done to them; absent when there is nobody. */
  refused: z.array(participantIdSchema).optional(),
});
const empty = z.object({});

export const requests = {
  /** Mutes microphones; needs the right `mute`. Who was muted may speak again when they unmute themselves. */
  'moderation.mute': { params: several, result: outcome },
  /** Switches cameras off; needs the right `camera-off`. */
  'moderation.camera-off': { params: several, result: outcome },
  /** Ends shares of screens, picture and sound; needs the right `stop-share`. */
  'moderation.stop-share': { params: several, result: outcome },
  /** Asks people to turn their microphones on; needs the right `ask-unmute`. It is a question: nothing is turned on. */
  'moderation.ask-unmute': { params: several, result: outcome },
  /** Lowers hands; needs the right `lower-hands`. */
  'moderation.lower-hands': { params: several, result: outcome },
  /** Takes people out of the conference and the room, who wait then to be admitted; needs the right `remove`. */
  'moderation.send-to-waiting': { params: several, result: outcome },
  /** Takes people out of the conference and the room, until they are invited again; needs the right `remove`. */
  'moderation.remove': { params: several, result: outcome },
  /** The same, for good: they cannot be invited or come by a link; needs the right `ban`. */
  'moderation.ban': { params: several, result: outcome },
  /** Gives a guest another name; needs the right `rename-others`. The guest's instance writes it. */
  'moderation.rename': {
    params: z.object({ participantId: participantIdSchema, displayName: z.string().min(1).max(256) }),
    result: outcome,
  },
  /** Ends the conference for some or all; needs the right `end`. The meeting stays. */
  'moderation.end': { params: z.object({ for: endForSchema }), result: outcome },
  /** Gives somebody a role; needs the right `appoint`, and nobody takes one from whoever has as much power. */
  'roles.set': { params: z.object({ userId: userIdSchema, role: givenRoleSchema }), result: empty },
} as const;

/** Who has done it: a name that is safe to show, and the organisation. */
const by = { by: z.string().max(256), organisation: serverNameSchema };
/** What belongs to single actions. */
const details = {
  /** The new name of who was renamed. */
  displayName: z.string().max(256).optional(),
  /** For whom the meeting was ended. */
  for: endForSchema.optional(),
};

export const notifications = {
  /** Somebody has done this to the one who is told. What ends the place in the conference comes with its end instead. */
  'moderation.done': z.object({ action: moderationActionSchema, ...by, ...details }),
  /** Somebody has done this to others. */
  'moderation.told': z.object({
    action: moderationActionSchema,
    ...by,
    ...details,
    /** Their names, the first five. */
    whom: listOf(z.string().max(256)),
    count: z.number().int().min(1),
  }),
  /** The time limit of the meeting ends it in so many minutes, for everybody. */
  'moderation.time-limit': z.object({
    minutes: z.number().int().min(0).max(60),
  }),
} as const;

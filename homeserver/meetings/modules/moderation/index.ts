/** What moderators do to others. */
import { MatrixError } from '../../../base/errors.ts';
import type { MeetingModule } from '../module.ts';

export function moderationModule(): MeetingModule<'moderation'> {
  return { requests: { 'moderation.mute': notYet, 'moderation.remove': notYet } };
}

function notYet(): never {
  throw new MatrixError(404, 'M_UNRECOGNIZED', 'This server does not offer this yet.');
}

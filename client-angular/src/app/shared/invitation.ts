import type { InvitationOutcome, InvitationResult } from '../../../../protocol/session.ts';
import { ApiError } from '../core/api-error.ts';

/** One invitation on its way, and what has become of it. */
export interface Invitation {
  readonly userId: string;
  readonly outcome:
    | InvitationOutcome
    /** No answer yet. */
    | 'sending'
    /** A mail address stands where a Matrix id should. */
    | 'mail-address'
    /** The own server does not answer. */
    | 'offline'
    /** The own server has too much to do. */
    | 'too-many'
    /** The person may not invite to this meeting (any more). */
    | 'not-allowed';
  /** Server name of the person's organisation, and the name to show where it is known. */
  readonly organisation: string;
  readonly organisationName?: string | undefined;
  readonly errcode?: string | undefined;
  /** With `untrusted`: why the own organisation is not connected to that one. */
  readonly reason?: string | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** How an outcome looks in the list. */
export type InvitationState = 'waiting' | 'good' | 'bad';

export function stateOf({ outcome }: Invitation): InvitationState {
  switch (outcome) {
    case 'sending':
    case 'pending':
      return 'waiting';
    case 'invited':
    case 'already-invited':
    case 'already-member':
    case 'self':
      return 'good';
    default:
      return 'bad';
  }
}

/** Server part of a Matrix id: what stands after the colon, whatever it is. */
export function serverPart(userId: string): string {
  return userId.slice(userId.indexOf(':') + 1);
}

export function fromResult(result: InvitationResult): Invitation {
  return { ...result, organisation: result.organisation ?? serverPart(result.userId) };
}

/** What was typed and is no Matrix id. */
export function unreadable(text: string): Invitation {
  const isMail = /^[^@\s]+@[^@\s:]+\.[^@\s:]+$/.test(text);
  return { userId: text, outcome: isMail ? 'mail-address' : 'bad-id', organisation: '' };
}

/** An invitation whose request failed as a whole. */
export function fromError(userId: string, error: unknown): Invitation {
  const organisation = serverPart(userId);
  if (!(error instanceof ApiError)) return { userId, outcome: 'failed', organisation };
  const { status, errcode, retryAfterMs, organisationName } = error;
  const details = { userId, organisation, organisationName, errcode, retryAfterMs };
  if (status === 0) return { ...details, outcome: 'offline' };
  if (status === 429) return { ...details, outcome: 'too-many' };
  if (status === 403) return { ...details, outcome: 'not-allowed' };
  return { ...details, outcome: error.organisation !== undefined && status >= 500 ? 'unreachable' : 'failed' };
}

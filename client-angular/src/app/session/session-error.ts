import type { ErrorCode, ProtocolError } from '../../../../protocol/session.ts';

/** A request of the session protocol that was refused, or whose session ended before the answer. */
export class SessionError extends Error {
  readonly code: ErrorCode | 'connection-lost' | 'unexpected-answer';
  readonly organisation: string | undefined;
  readonly reason: string | undefined;
  readonly reference: string | undefined;

  constructor(
    code: ErrorCode | 'connection-lost' | 'unexpected-answer',
    message: string,
    details: Pick<ProtocolError, 'organisation' | 'reason' | 'reference'> = {},
  ) {
    super(message);
    this.code = code;
    this.organisation = details.organisation;
    this.reason = details.reason;
    this.reference = details.reference;
  }
}

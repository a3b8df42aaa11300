import type { Reason } from './verdict.ts';

/** Thrown when an organisation, or what proves it, is not to be trusted. The message is for the administrator. */
export class TrustError extends Error {
  override readonly name = 'TrustError';
  readonly reason: Reason;

  constructor(reason: Reason, message: string) {
    super(message);
    this.reason = reason;
  }
}

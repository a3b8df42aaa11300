/** The only error class of this folder: a code that the homeserver reacts to, and a message for the log. */
import type { SfuErrorBody } from './protocol.ts';

export type SfuErrorCode = SfuErrorBody['code'];

export class SfuError extends Error {
  readonly code: SfuErrorCode;

  constructor(code: SfuErrorCode, message: string) {
    super(message);
    this.name = 'SfuError';
    this.code = code;
  }
}

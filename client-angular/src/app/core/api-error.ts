interface ApiErrorDetails {
  /** Server name of the organisation where it failed, when not the own. */
  organisation?: string | undefined;
  /** What that organisation calls itself, when the own server knows. */
  organisationName?: string | undefined;
  /** Short code for the help desk. */
  reference?: string | undefined;
  /** Why the own organisation is not connected to that one, where that is the reason. */
  untrusted?: string | undefined;
  /** How long the server asks us to wait, in ms (429). */
  retryAfterMs?: number | undefined;
}

/** A request to the own homeserver that failed, in the words of the Matrix error object. */
export class ApiError extends Error {
  /** HTTP status, 0 when no answer came at all. */
  readonly status: number;
  readonly errcode: string;
  readonly organisation: string | undefined;
  readonly organisationName: string | undefined;
  readonly untrusted: string | undefined;
  readonly reference: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, errcode: string, message: string, details: ApiErrorDetails = {}) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.organisation = details.organisation;
    this.organisationName = details.organisationName;
    this.untrusted = details.untrusted;
    this.reference = details.reference;
    this.retryAfterMs = details.retryAfterMs;
  }
}

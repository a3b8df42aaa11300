/** A request to the own homeserver that failed, in the words of the Matrix error object. */
export class ApiError extends Error {
  /** HTTP status, 0 when no answer came at all. */
  readonly status: number;
  readonly errcode: string;
  /** The organisation where it failed, when not the own. */
  readonly organisation: string | undefined;
  /** Short code for the help desk. */
  readonly reference: string | undefined;

  constructor(status: number, errcode: string, message: string, organisation?: string, reference?: string) {
    super(message);
    this.status = status;
    this.errcode = errcode;
    this.organisation = organisation;
    this.reference = reference;
  }
}

/** Who makes a request. Found out by `requireSession` of the accounts, which all that has requests knows. */

/** Who makes a request. */
export interface Requester {
  readonly userId: string;
  readonly deviceId: string;
  readonly guest: boolean;
  readonly admin: boolean;
  /** May read, but not write. */
  readonly suspended: boolean;
  readonly displayName: string;
}

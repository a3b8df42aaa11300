/** The authenticated user of a request, determined by `requireSession` of the accounts. */

/** Who makes a request. */
export interface Requester {
  readonly userId: string;
  readonly deviceId: string;
  readonly guest: boolean;
  readonly admin: boolean;
  /** May read, but not send. */
  readonly suspended: boolean;
  readonly displayName: string;
}

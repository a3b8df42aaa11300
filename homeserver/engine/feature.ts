/** What a feature adds to the homeserver. `app/` mounts the routers, asks the parts of `/sync`, starts and ends it. */
import type { Router } from 'express';
import type { SyncPart } from './sync/part.ts';

export interface Feature {
  /** At `/_matrix/client/v3`, and at the older addresses of the client API. */
  readonly client?: readonly Router[];
  /** At `/_matrix`, for what is not below `/client/v3`. */
  readonly matrix?: readonly Router[];
  /** At `/_matrix/federation`. */
  readonly federation?: readonly Router[];
  /** At `/_synapse/admin`. */
  readonly admin?: readonly Router[];
  readonly syncParts?: readonly SyncPart[];
  /** Takes up what a restart has interrupted; called before others can reach this server. */
  start?(): Promise<void>;
  /** Ends what runs in the background. */
  close?(): void | Promise<void>;
}

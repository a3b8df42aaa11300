/**
 * What a feature adds to the homeserver. `app/` mounts its routers, runs its parts of `/sync`, starts and closes it.
 */
import type { Router } from 'express';
import type { SyncPart } from './sync/part.ts';

export interface Feature {
  /** Mounted at `/_matrix/client/v3` and at the older prefixes of the client API. */
  readonly client?: readonly Router[];
  /** Mounted at `/_matrix`, for paths outside of `/client/v3`. */
  readonly matrix?: readonly Router[];
  /** Mounted at `/_matrix/federation`. */
  readonly federation?: readonly Router[];
  /** Mounted at `/_synapse/admin`. */
  readonly admin?: readonly Router[];
  readonly syncParts?: readonly SyncPart[];
  /** Resumes what a restart interrupted; called before this server can be reached. */
  start?(): Promise<void>;
  /** Stops background work. */
  close?(): void | Promise<void>;
}

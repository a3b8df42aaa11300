/** Puts the media repository together. */
import type { RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { FederationClient } from '../../../federation/client.ts';
import { mediaAdminRouter } from './admin-router.ts';
import { mediaRouter } from './client-router.ts';
import { every } from '../../base/every.ts';
import type { Database } from '../../database/database.ts';
import type { Feature } from '../../engine/feature.ts';
import { mediaRouter as federationMediaRouter } from './federation-router.ts';
import { Blobs } from './blobs.ts';
import { MediaAdmin } from './media-admin.ts';
import { Media } from './media.ts';
import type { MediaLimits, MediaOptions } from './media.ts';
import { RemoteMedia } from './remote-media.ts';
import { SafeFetch } from '../../base/safe-fetch.ts';
import { UrlPreviews } from './url-previews.ts';

export interface MediaConfig extends MediaLimits {
  /** Data folder, used by this process only. */
  readonly folder: string;
  /** Whether the deprecated unauthenticated endpoints serve files to everybody. */
  readonly unauthenticated: boolean;
  /** Local media unused for this many days are deleted; 0 for never. */
  readonly retentionDays: number;
  /** Whether to make URL previews. */
  readonly urlPreviews: boolean;
}

export interface MediaDeps extends Pick<MediaOptions, 'isGuest' | 'takeUploaded'> {
  readonly serverName: string;
  readonly config: MediaConfig;
  readonly db: Database;
  readonly client: Pick<FederationClient, 'open'>;
  /** Access to the web, besides other homeservers. */
  readonly web: {
    readonly allowedRanges: readonly string[];
    readonly hostOverrides: ReadonlyMap<string, string>;
    readonly ca: string | undefined;
  };
  /**
   * @throws MatrixError when the requesting user gets no previews
   *
   * @throws MatrixError when the web is not looked at for whoever is served now
   */
  readonly requireMayAskWeb: () => Promise<void>;
  readonly requireSession: RequestHandler;
  /** Requires a signed request of another server. */
  readonly signed: RequestHandler;
  /** Rate limit for uploads, by user. */
  readonly limitUploads: RequestHandler;
  readonly limitAnonymous: RequestHandler;
  readonly log: Logger;
}

export interface MediaFeature extends Feature {
  readonly media: Media;
  close(): void;
}

const CLEAN_UP_MS = 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
const FILE_TIMEOUT_MS = 60_000;
const PREVIEW_TIMEOUT_MS = 10_000;

/**
 * @throws the system's error when the data folder cannot be used
 *
 * @throws the system's error when the data folder can not be used
 */
export async function makeMedia(deps: MediaDeps): Promise<MediaFeature> {
  const { serverName, config, db, client, requireSession, signed, limitUploads, limitAnonymous, log } = deps;
  const { isGuest, takeUploaded } = deps;
  const { ca, ...reach } = deps.web;
  const web = { ...reach, ...(ca === undefined ? {} : { ca }) };
  const blobs = await Blobs.open(config.folder);
  const remote = new RemoteMedia({
    client,
    blobs,
    fetch: new SafeFetch({ ...web, timeoutMs: FILE_TIMEOUT_MS }),
    maxBytes: config.maxBytes,
  });
  const media = new Media({ ...config, serverName, db, blobs, remote, isGuest, takeUploaded });
  const fetch = new SafeFetch({ ...web, timeoutMs: PREVIEW_TIMEOUT_MS, requireMayAsk: deps.requireMayAskWeb });
  const previews = config.urlPreviews ? { previews: await UrlPreviews.open({ serverName, media, blobs, fetch }) } : {};
  const { unauthenticated } = config;
  const admin = new MediaAdmin(db, serverName, media.store);
  const stopCleaning = every(
    CLEAN_UP_MS,
    () => cleanUp(media, admin, config.retentionDays),
    log,
    'old files were not removed',
  );
  return {
    media,
    matrix: [
      mediaRouter({
        serverName,
        media,
        ...previews,
        unauthenticated,
        requireSession,
        limitUploads,
        limitAnonymous,
      }),
    ],
    admin: [mediaAdminRouter({ serverName, admin, requireSession })],
    federation: [federationMediaRouter({ serverName, media, signed })],
    close: stopCleaning,
  };
}

async function cleanUp(media: Media, admin: MediaAdmin, retentionDays: number): Promise<void> {
  if (retentionDays > 0) await admin.removeUnused(Date.now() - retentionDays * DAY_MS, 0);
  await media.cleanUp();
}

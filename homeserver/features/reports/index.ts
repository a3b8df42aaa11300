/** Puts reports together. */
import type { Logger } from 'pino';
import type { Database } from '../../database/database.ts';
import type { Feature } from '../../engine/feature.ts';
import { reportAdminRouter } from './admin-router.ts';
import type { ReportAdminRouterOptions } from './admin-router.ts';
import { reportRouter } from './client-router.ts';
import type { ReportRouterOptions } from './client-router.ts';
import { Reports } from './reports.ts';

export type ReportsDeps = Omit<ReportRouterOptions & ReportAdminRouterOptions, 'reports'> & {
  readonly db: Database;
  readonly log: Logger;
};

export function makeReports(deps: ReportsDeps): Feature {
  const own = { ...deps, reports: new Reports(deps.db, deps.log) };
  return { client: [reportRouter(own)], admin: [reportAdminRouter(own)] };
}

/** Puts MatrixRTC transports for other clients together. */
import type { RequestHandler } from 'express';
import type { Feature } from '../../engine/feature.ts';
import { rtcRouter } from './client-router.ts';

export function makeRtc({ requireSession }: { readonly requireSession: RequestHandler }): Feature {
  return { matrix: [rtcRouter({ requireSession })] };
}

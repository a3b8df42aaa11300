/** Options of a request to send an event. */
import type { Request } from 'express';
import { MatrixError } from '../../base/errors.ts';
import { queryText } from '../../base/parse.ts';
import type { NewEvent } from '../rooms/rooms.ts';
import { MAX_STICKY_MS } from '../rooms/sticky.ts';

/** Schedules delayed events. @see MSC4140 */
export interface DelayedSending {
  /** @returns the delay id @throws MatrixError 400, 403 */
  add(roomId: string, userId: string, event: NewEvent & { deviceId: string }, delayMs: number): Promise<string>;
}

/** The sticky duration that a request asks for, in ms. @see MSC4354 @throws MatrixError 400 */
export function stickyOf(request: Request): number | undefined {
  const text =
    queryText(request, 'org.matrix.msc4354.sticky_duration_ms') ?? queryText(request, 'msc4354_stick_duration_ms');
  if (text === undefined) return undefined;
  const duration = /^[0-9]{1,15}$/.test(text) ? Number(text) : Infinity;
  if (duration > MAX_STICKY_MS)
    throw new MatrixError(400, 'M_INVALID_PARAM', 'The sticky duration is malformed or too long.');
  return duration;
}

/** The delay that a request asks for, in ms. @throws MatrixError 400 */
export function delayOf(request: Request): number | undefined {
  const text = queryText(request, 'org.matrix.msc4140.delay');
  if (text === undefined) return undefined;
  const delay = /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
  if (delay === undefined) throw new MatrixError(400, 'M_INVALID_PARAM', 'The delay is malformed.');
  return delay;
}

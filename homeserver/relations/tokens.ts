/** Pagination tokens: places in the stream, of `/sync` (`s7`: up to event 7) and of pages (`p7`: at event 7). */
import { MatrixError } from '../errors.ts';

/** The token of a page whose last event has a position. */
export function pageToken(position: number): string {
  return `p${String(position)}`;
}

/**
 * The position in a token, as an exclusive bound.
 *
 * @throws MatrixError 400 M_INVALID_PARAM for a token that is not ours
 */
export function readBound(token: string | undefined, side: 'before' | 'after'): number | undefined {
  if (token === undefined || token === '') return undefined;
  const match = /^([ps])(-?[0-9]{1,15})$/.exec(token);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'The pagination token is malformed.');
  const position = Number(match[2]);
  // What `/sync` has told of includes the event at its position.
  return match[1] === 's' && side === 'before' ? position + 1 : position;
}

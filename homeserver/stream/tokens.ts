/**
 * Pagination tokens: places between two events of the stream. `/sync` gives `s7`, the place after position 7; pages
 * give `p7`, the place before position 7.
 */
import { MatrixError } from '../errors.ts';

/** The place before a position. */
export function tokenBefore(position: number): string {
  return `p${String(position)}`;
}

/** The place after a position. */
export function tokenAfter(position: number): string {
  return `p${String(position + 1)}`;
}

/**
 * The first position after the place of a token: what is before it is lower.
 *
 * @throws MatrixError 400 M_INVALID_PARAM for a token that is not ours
 */
export function readToken(token: string): number {
  const match = /^([ps])(-?[0-9]{1,15})$/.exec(token);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'The pagination token is malformed.');
  return match[1] === 's' ? Number(match[2]) + 1 : Number(match[2]);
}

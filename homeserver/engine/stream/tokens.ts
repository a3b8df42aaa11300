/**
 * Pagination tokens: places between two events of a room. `/sync` returns `s7`, the place after stream position 7; `p7`
 * is the place before it. Stream order is the order of receipt. Pages are ordered by depth, the order in which things
 * happened as far as known: `t4_7` is the place before the event with depth 4 and position 7.
 */
import { MatrixError } from '../../base/errors.ts';

/** The place before an event; without a depth, in stream order. */
export interface Place {
  readonly depth?: number;
  readonly position: number;
}

/** The place before a stream position. */
export function tokenBefore(position: number): string {
  return `p${String(position)}`;
}

/** The place before an event, ordered by depth. */
export function placeBefore(event: { pdu: { depth: number }; position: number }): Place {
  return { depth: event.pdu.depth, position: event.position };
}

/** The place after an event, ordered by depth. */
export function placeAfter(event: { pdu: { depth: number }; position: number }): Place {
  return { depth: event.pdu.depth, position: event.position + 1 };
}

export function tokenOf({ depth, position }: Place): string {
  return depth === undefined ? tokenBefore(position) : `t${String(depth)}_${String(position)}`;
}

/** @throws MatrixError 400 M_INVALID_PARAM for an invalid token */
export function readPlace(token: string): Place {
  const match = /^(?:([ps])|t([0-9]{1,16})_)(-?[0-9]{1,15})$/.exec(token);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'The pagination token is malformed.');
  const position = Number(match[3]);
  if (match[2] !== undefined) return { depth: Number(match[2]), position };
  return { position: match[1] === 's' ? position + 1 : position };
}

/**
 * The first stream position after the place of a token.
 *
 * @throws MatrixError 400 M_INVALID_PARAM for an invalid token
 */
export function readToken(token: string): number {
  return readPlace(token).position;
}

/**
 * An SQL condition for the events on one side of a place, by the columns `depth` and `position`, in a form that can use
 * an index.
 *
 * @param alias of the table, with its dot
 * @param params the parameters of the statement; those of the place are appended
 */
export function besidePlace(alias: string, side: 'before' | 'after', place: Place, params: unknown[]): string {
  const sign = side === 'before' ? '<' : '>=';
  const add = (value: number): string => `$${String(params.push(value))}::bigint`;
  const { depth, position } = place;
  if (depth === undefined) return `${alias}position ${sign} ${add(position)}`;
  return `(${alias}depth, ${alias}position) ${sign} (${add(depth)}, ${add(position)})`;
}

/** The `since` tokens of syncs. */
import { MatrixError } from '../../base/errors.ts';

/** The position of a token. @throws MatrixError 400 */
export function sinceOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const match = /^s([0-9]{1,15})$/.exec(text);
  if (!match) throw new MatrixError(400, 'M_INVALID_PARAM', 'since is malformed.');
  return Number(match[1]);
}

import type { Method, Params, Result } from '../../../protocol/session.ts';
import type { Session } from './session.ts';

/** What some methods do for the session that asks. Parameters were parsed by their schema before. */
export type Handlers<M extends Method> = {
  readonly [Each in M]: (session: Session, params: Params<Each>) => Promise<Result<Each>> | Result<Each>;
};

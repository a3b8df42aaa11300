/**
 * `/sync`: changes for a user, waiting for them if there are none. The changes come from the parts.
 *
 * @see Matrix specification, client-server API, "Syncing"
 */
import express from 'express';
import type { Request, RequestHandler, Router } from 'express';
import { isJsonObject, parseStrict } from '../../../federation/json.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { methods, MatrixError } from '../../base/errors.ts';
import { PRESENCES } from './presence-state.ts';
import type { PresenceState } from './presence-state.ts';
import { queryNumber, queryText, requesterOf } from '../../base/parse.ts';
import type { Answers } from './answers.ts';
import { filterSchema } from './filter.ts';
import type { Filter } from './filter.ts';
import type { SyncPart, SyncQuestion } from './part.ts';
import { sinceOf } from './since.ts';

export interface SyncRouterOptions {
  readonly answers: Answers;
  readonly parts: readonly SyncPart[];
  /** The JSON text of a stored filter. */
  readonly storedFilter: (userId: string, filterId: string) => Promise<string | undefined>;
  /**
   * Marks a user as syncing. @returns a function to call when the request has ended
   *
   * @returns to be called when the request has ended
   */
  readonly present?: (userId: string, presence: PresenceState) => Promise<() => void>;
  readonly requireSession: RequestHandler;
}

const MAX_WAIT_MS = 60_000;

/** Mounted at `/_matrix/client/v3`. */
export function syncRouter(options: SyncRouterOptions): Router {
  const { answers, parts, requireSession } = options;
  const router = express.Router();

  async function filterOf(userId: string, given: string | undefined): Promise<Filter> {
    if (given === undefined) return {};
    const json = given.startsWith('{') ? given : await options.storedFilter(userId, given);
    if (json === undefined) throw new MatrixError(400, 'M_INVALID_PARAM', 'No filter with this id exists.');
    let value: unknown;
    try {
      value = parseStrict(json);
    } catch {
      throw new MatrixError(400, 'M_NOT_JSON', 'The filter is not JSON.');
    }
    const parsed = filterSchema.safeParse(value);
    if (!parsed.success) throw new MatrixError(400, 'M_BAD_JSON', 'The filter is malformed.');
    return parsed.data;
  }

  methods(router, '/sync', {
    get: [
      requireSession,
      async (request, response) => {
        const { userId, deviceId } = requesterOf(response);
        const asked = {
          userId,
          deviceId,
          since: sinceOf(queryText(request, 'since')),
          fullState: queryText(request, 'full_state') === 'true',
          stateAfter: stateAfterOf(request),
          filter: await filterOf(userId, queryText(request, 'filter')),
        };
        const waitMs = queryNumber(request, 'timeout', 0, MAX_WAIT_MS);
        const abort = new AbortController();
        response.on('close', () => abort.abort());
        const gone = await options.present?.(userId, presenceOf(queryText(request, 'set_presence')));
        if (gone) response.on('close', gone);
        const { question, answer } = await answers(asked, Date.now() + waitMs, abort.signal);
        if (abort.signal.aborted) return;
        for (const part of parts) await part.always?.(question, answer);
        for (const entry of Object.values(answer.rooms.join)) if (isJsonObject(entry)) complete(entry, question);
        response.json({
          next_batch: `s${question.upTo}`,
          presence: { events: [] },
          account_data: { events: [] },
          device_lists: { changed: [], left: [] },
          ...answer,
          rooms: withoutEmpty(answer.rooms),
        });
      },
    ],
  });

  return router;
}

/** @throws MatrixError 400 */
function presenceOf(text: string | undefined): PresenceState {
  const presence = PRESENCES.find((known) => known === (text ?? 'online'));
  if (!presence) throw new MatrixError(400, 'M_INVALID_PARAM', 'set_presence is malformed.');
  return presence;
}

/** Clients expect every section of a room, even if only one has changes. */
function complete(entry: JsonObject, { upTo, stateAfter }: SyncQuestion): void {
  entry['timeline'] ??= { events: [], limited: false, prev_batch: `p${upTo + 1}` };
  for (const section of [stateAfter ?? 'state', 'ephemeral', 'account_data']) entry[section] ??= { events: [] };
}

/** Leaves out sections without rooms. */
function withoutEmpty(sections: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(sections).filter(([, rooms]) => isJsonObject(rooms) && Object.keys(rooms).length > 0),
  );
}

/** The section name by which a client requested the state after the timeline. */
function stateAfterOf(request: Request): SyncQuestion['stateAfter'] {
  if (queryText(request, 'use_state_after') === 'true') return 'state_after';
  const unstable = queryText(request, 'org.matrix.msc4222.use_state_after');
  return unstable === 'true' ? 'org.matrix.msc4222.state_after' : undefined;
}

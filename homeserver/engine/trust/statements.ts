/** Fetches what other servers say of their keys: a statement, signed by the certificate of their organisation. */
import { FederationError } from '../../../federation/client.ts';
import type { FederationClient } from '../../../federation/client.ts';
import { BodyError, readBounded } from '../../../federation/read-bounded.ts';
import { MAX_STATEMENT_LENGTH } from '../../../federation/trust/statement.ts';
import type { Reason } from '../../../federation/trust/verdict.ts';

export const STATEMENT_PATH = '/_hansetag/key/v1/statement';
/** From the first step of discovery to the last byte, in ms. */
const TIMEOUT_MS = 10_000;

/** A statement as it came, or why there is none; the text is for our administrator. */
export type Fetched =
  | { readonly jws: string }
  | {
      readonly jws?: undefined;
      readonly reason: Extract<Reason, 'no-statement' | 'unreachable' | 'malformed'>;
      readonly text: string;
    };

/** Never rejects, and ends within the time limit whatever the server does. */
export async function fetchStatement(client: Pick<FederationClient, 'open'>, server: string): Promise<Fetched> {
  const where = `https://${server}${STATEMENT_PATH}`;
  try {
    const { status, body } = await client.open({
      destination: server,
      method: 'GET',
      path: STATEMENT_PATH,
      onBehalfOf: 'server',
      exempt: true,
      signed: false,
      timeoutMs: TIMEOUT_MS,
    });
    if (status !== 200) {
      body.destroy();
      return { reason: 'unreachable', text: `${where} responds with status ${String(status)}. It is tried again.` };
    }
    return { jws: (await readBounded(body, MAX_STATEMENT_LENGTH)).trim() };
  } catch (error) {
    if (error instanceof BodyError) return { reason: 'malformed', text: `${where} is no statement: ${error.message}` };
    // Anything else, such as "too many requests" of a proxy, says nothing of the statement.
    if (error instanceof FederationError && (error.status === 404 || error.status === 410)) {
      const text = `There is no statement at ${where} (${String(error.status)}). Its administrators have to install the certificate of their organisation.`;
      return { reason: 'no-statement', text };
    }
    const why = error instanceof FederationError ? error.message : 'The connection broke.';
    return { reason: 'unreachable', text: `Its statement could not be fetched: ${why} It is tried again.` };
  }
}

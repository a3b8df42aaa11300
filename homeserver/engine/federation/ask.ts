/** Asks another server, with its failures as errors that the asker can be told. */
import { FederationError } from '../../../federation/client.ts';
import type { FederationClient, FederationRequest } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';

/**
 * @throws MatrixError what the other server refused with (400 to 499), or 502 M_UNKNOWN when it could not be asked;
 *   with the name of the server as `organisation`
 */
export async function askServer(client: FederationClient, request: FederationRequest): Promise<JsonObject> {
  try {
    return await client.request(request);
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
    const { status, errcode } = error;
    const organisation = request.destination;
    if (status !== undefined && status >= 400 && status < 500 && errcode !== undefined) {
      throw new MatrixError(status, errcode, error.message, { organisation });
    }
    throw new MatrixError(502, 'M_UNKNOWN', `${organisation} can not be reached or failed: ${error.message}`, {
      organisation,
    });
  }
}

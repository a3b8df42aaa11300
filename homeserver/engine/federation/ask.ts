/** Sends a request to another server, with failures as errors that can be passed on to the client. */
import { FederationError } from '../../../federation/client.ts';
import type { FederationClient, FederationRequest } from '../../../federation/client.ts';
import type { JsonObject } from '../../../federation/json.ts';
import { MatrixError } from '../../base/errors.ts';
import { refusedByUs, UntrustedError } from '../trust/trust.ts';

/**
 * @throws MatrixError 403 with the reason for a server that we do not federate with, the other server's own error (400 to 499), or 502 M_UNKNOWN when the request failed;
 *   with the name of the server as `organisation`
 */
export async function askServer(client: FederationClient, request: FederationRequest): Promise<JsonObject> {
  try {
    return await client.request(request);
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
    if (error instanceof UntrustedError) throw refusedByUs(error);
    const { status, errcode } = error;
    const organisation = request.destination;
    if (status !== undefined && status >= 400 && status < 500 && errcode !== undefined) {
      throw new MatrixError(status, errcode, error.message, { organisation });
    }
    throw new MatrixError(502, 'M_UNKNOWN', `${organisation} cannot be reached or failed: ${error.message}`, {
      organisation,
    });
  }
}

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { demoCertificates } from '../../deploy/demo-authority.ts';

/** A request as a server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly host: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
  /** The name that the client asked for in TLS; false for none. */
  readonly servername: string | false;
}

export type Handler = (request: SeenRequest, response: ServerResponse) => void;

/** TLS servers on 127.0.0.1 with certificates of an authority of their own. */
export class TlsServers {
  /** PEM of the authority. */
  readonly ca: string;
  readonly #folder: string;
  readonly #open: Server[] = [];

  private constructor(folder: string, ca: string) {
    this.#folder = folder;
    this.ca = ca;
  }

  static async prepare(): Promise<TlsServers> {
    const folder = await mkdtemp(join(tmpdir(), 'hansetag-tls-'));
    const { caFile } = await demoCertificates(folder, []);
    return new TlsServers(folder, await readFile(caFile, 'utf8'));
  }

  /**
   * Starts a server whose certificate is for the host and for 127.0.0.1.
   *
   * @returns its port
   */
  async listen(host: string, handler: Handler): Promise<{ port: number; seen: SeenRequest[]; server: Server }> {
    const { certificates } = await demoCertificates(this.#folder, [{ host, address: '127.0.0.1' }]);
    const [certificate] = certificates;
    if (certificate === undefined) throw new Error('no certificate');
    const [cert, key] = await Promise.all([readFile(certificate.certFile), readFile(certificate.keyFile)]);
    const seen: SeenRequest[] = [];
    const server = createServer({ cert, key }, (request, response) => {
      noted(request)
        .then((note) => {
          seen.push(note);
          handler(note, response);
        })
        .catch(() => response.destroy());
    });
    // A client that does not like the certificate hangs up.
    server.on('tlsClientError', () => undefined);
    this.#open.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { port: (server.address() as AddressInfo).port, seen, server };
  }

  async closeServers(): Promise<void> {
    for (const server of this.#open.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  async close(): Promise<void> {
    await this.closeServers();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Answers with JSON. */
export function answer(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof value === 'string' ? value : JSON.stringify(value));
}

async function noted(request: IncomingMessage): Promise<SeenRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { servername } = request.socket as unknown as { servername?: string | false };
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    host: request.headers.host,
    authorization: request.headers.authorization,
    body: Buffer.concat(chunks).toString('utf8'),
    servername: servername ?? false,
  };
}

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Authority, CrlOptions } from './authority.ts';
import { answerOcsp } from './ocsp-response.ts';
import type { OcspOptions } from './ocsp-response.ts';

const MAX_REQUEST_BYTES = 16 * 1024;

/** Serves CRLs and OCSP responses of authorities over HTTP on loopback. */
export class Responder {
  /** Which services are down: their connections are closed without an answer. */
  readonly down = { crl: false, ocsp: false };
  /** Requests that it has answered. */
  readonly answered = { crl: 0, ocsp: 0 };
  readonly #server: Server;
  readonly #authorities = new Map<string, Authority>();
  readonly #crl = new Map<string, CrlOptions>();
  readonly #ocsp = new Map<string, OcspOptions>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    server.on('clientError', (_error, socket) => socket.destroy());
  }

  /** @param port 0 for any */
  static async start(port = 0): Promise<Responder> {
    const server = createServer();
    const responder = new Responder(server);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return responder;
  }

  /** Without a slash at the end. */
  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  serve(...authorities: readonly Authority[]): void {
    for (const authority of authorities) this.#authorities.set(authority.id, authority);
  }

  /** How CRLs of an authority are made from now on; for faults. */
  setCrl({ id }: Authority, options: CrlOptions): void {
    this.#crl.set(id, options);
  }

  /** How OCSP requests about certificates of an authority are answered from now on; for faults. */
  setOcsp({ id }: Authority, options: OcspOptions): void {
    this.#ocsp.set(id, options);
  }

  /** Takes all services down, or up again. */
  setDown(isDown: boolean): void {
    this.down.crl = isDown;
    this.down.ocsp = isDown;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, kind, id = ''] = new URL(request.url ?? '/', this.url).pathname.split('/');
    const authority = this.#authorities.get(id);
    if (authority === undefined || (kind !== 'crl' && kind !== 'ocsp')) {
      response.writeHead(404).end();
      return;
    }
    if (this.down[kind]) {
      request.socket.destroy();
      return;
    }
    this.answered[kind]++;
    if (kind === 'crl') {
      response.writeHead(200, { 'content-type': 'application/pkix-crl' });
      response.end(await authority.crl(this.#crl.get(id)));
      return;
    }
    const body = await readBody(request);
    response.writeHead(200, { 'content-type': 'application/ocsp-response' });
    response.end(answerOcsp(authority, body, this.#ocsp.get(id)));
  }
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_REQUEST_BYTES) throw new Error('The request is too long.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

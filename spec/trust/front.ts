/** A reverse proxy before a homeserver, as operators have one, that serves the statement of the organisation as a file. */
import { readFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:https';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { at } from '../support/homeservers.ts';
import type { TestFederation } from '../support/homeservers.ts';

const STATEMENT = '/_hansetag/key/v1/statement';

/** A statement, what answers in its place, or nothing: then 404. */
export type Served = string | ((response: ServerResponse) => void) | undefined;

export class Front {
  /** What it serves as the statement. */
  statement: Served;
  /** How often it was asked for it. */
  asked = 0;
  /** Requests that went to the homeserver, as `METHOD /path`. */
  readonly passed: string[] = [];
  readonly #target: number;
  readonly #server: Server;

  private constructor(target: number, { tls }: Pick<TestFederation, 'tls'>) {
    this.#target = target;
    this.#server = createServer({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) }, (...exchange) =>
      this.#serve(...exchange),
    );
  }

  /** @param port of the server's name @param target where the homeserver listens, both at 127.0.0.1 */
  static async start(port: number, target: number, federation: Pick<TestFederation, 'tls'>): Promise<Front> {
    const front = new Front(target, federation);
    await new Promise<void>((resolve, reject) => {
      front.#server.once('error', reject);
      front.#server.listen(port, '127.0.0.1', resolve);
    });
    return front;
  }

  /** The keys with which the homeserver signs, as it publishes them. */
  async keys(): Promise<Map<string, string>> {
    const text = await new Promise<string>((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: this.#target,
        path: '/_matrix/key/v2/server',
        rejectUnauthorized: false,
      };
      ask(options, (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        answer.on('end', () => resolve(body));
      })
        .on('error', reject)
        .end();
    });
    const keys = at(JSON.parse(text), 'verify_keys');
    if (typeof keys !== 'object' || keys === null) throw new Error('The server publishes no keys.');
    return new Map(Object.entries(keys).map(([keyId, entry]) => [keyId, String(at(entry, 'key'))]));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    request.on('error', () => response.destroy());
    response.on('error', () => request.destroy());
    if (request.url === STATEMENT) {
      this.asked += 1;
      const { statement } = this;
      if (typeof statement === 'function') statement(response);
      else if (statement === undefined) response.writeHead(404).end('Not Found');
      else response.writeHead(200, { 'content-type': 'application/jose' }).end(statement);
      return;
    }
    this.passed.push(`${request.method ?? ''} ${request.url ?? ''}`);
    const { method, url: path, headers } = request;
    // The proxy and the homeserver are on one machine.
    const passed = ask({ host: '127.0.0.1', port: this.#target, method, path, headers, rejectUnauthorized: false });
    passed.on('error', () => response.destroy());
    passed.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(passed);
  }
}

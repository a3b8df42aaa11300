/** Requests whose sender has proven nothing: long bodies, and names that lead to silence. */
import { readFileSync } from 'node:fs';
import { request as requestPlain } from 'node:http';
import { createServer as createTlsServer, request as requestTls } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { at } from '../../support/homeservers.ts';

/** A homeserver as strangers reach it. */
export interface Reached {
  readonly serverName: string;
  /** Of the client API. */
  readonly url: string;
  readonly tls: { readonly caFile: string };
}

export interface LongRequest {
  readonly face: 'client' | 'federation';
  readonly path: string;
  readonly body: string;
  readonly authorization?: string;
  /** Of the sender, on loopback. */
  readonly localAddress?: string;
}

export interface Reply {
  readonly status: number;
  readonly errcode: unknown;
  /** How much of the body was taken before the answer came, in bytes. */
  readonly sent: number;
}

/** Writes a body piece by piece until it is through or the answer has come. */
export function sendLong({ serverName, url, tls }: Reached, asked: LongRequest): Promise<Reply> {
  const { face, path, body, authorization, localAddress } = asked;
  return new Promise((resolve, reject) => {
    let sent = 0;
    let reply: Reply | undefined;
    const headers = {
      'content-length': String(Buffer.byteLength(body)),
      ...(authorization === undefined ? {} : { authorization }),
    };
    const port = Number(face === 'client' ? new URL(url).port : serverName.split(':')[1]);
    const from = localAddress === undefined ? {} : { localAddress };
    const options = { host: '127.0.0.1', port, method: 'PUT', path, headers, agent: false as const, ...from };
    const request =
      face === 'client'
        ? requestPlain(options)
        : requestTls({ ...options, servername: 'localhost', ca: readFileSync(tls.caFile) });
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        reply = { status: response.statusCode ?? 0, errcode: at(JSON.parse(text), 'errcode'), sent };
        request.destroy();
        resolve(reply);
      });
    });
    request.on('error', (error) => {
      if (reply === undefined) reject(error);
    });
    const more = (): void => {
      while (sent < body.length && reply === undefined) {
        const chunk = body.slice(sent, sent + 65_536);
        sent += chunk.length;
        if (!request.write(chunk)) return void request.once('drain', more);
      }
      if (reply === undefined) request.end();
    };
    more();
  });
}

/** Says to be a server without being able to sign for it. */
export function forged(origin: string, destination: string, keyId = 'ed25519:a'): string {
  return `X-Matrix origin="${origin}",destination="${destination}",key="${keyId}",sig="${'A'.repeat(86)}"`;
}

/** Says to be a server whose key must be fetched first. @returns the status of the answer */
export function claim({ serverName, tls }: Reached, name: string, localAddress: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = requestTls({
      host: '127.0.0.1',
      port: Number(serverName.split(':')[1]),
      localAddress,
      servername: 'localhost',
      ca: readFileSync(tls.caFile),
      path: '/_matrix/federation/v1/query/directory?room_alias=%23a:b',
      headers: { Authorization: forged(name, serverName) },
      agent: false,
    });
    request.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    request.on('error', reject);
    request.end();
  });
}

/** A name of the federation that takes connections and says nothing. */
export interface SilentName {
  readonly name: string;
  close(): void;
}

export async function silentName(): Promise<SilentName> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    name: `localhost:${String((server.address() as AddressInfo).port)}`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** A server that shakes hands, takes every request and answers none. */
export interface MuteServer extends SilentName {
  /** How many requests it has taken. */
  readonly taken: number;
}

export async function muteServer(tls: { readonly certFile: string; readonly keyFile: string }): Promise<MuteServer> {
  let taken = 0;
  const server = createTlsServer(
    { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) },
    () => (taken += 1),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    name: `localhost:${String((server.address() as AddressInfo).port)}`,
    get taken() {
      return taken;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Homeservers with a media server each, and clients of the session protocol. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import type { Method, NotificationData, NotificationName, Params, Result } from '../../protocol/session.ts';
import { startSfu } from '../../sfu/server.ts';
import { SECRET, silent, workerBin } from '../sfu/support.ts';
import { startHomeservers } from './homeservers.ts';
import type { Answer, TestFederation, TestHomeserver, TestUser } from './homeservers.ts';
import { BLOCK_PORTS, portBlock } from './ports.ts';

let block: Promise<number> | undefined;

/**
 * Starts homeservers as `startHomeservers` does, each with an SFU on a loopback address of its own.
 *
 * @param clientIps further addresses at which clients reach all of them
 */
export async function startMeetingServers(
  count: number,
  settings: Readonly<Record<string, string>> | ((index: number) => Readonly<Record<string, string>>) = {},
  clientIps: readonly string[] = [],
  log?: Parameters<typeof startHomeservers>[3],
): Promise<TestFederation> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-meetings-'));
  const bin = await workerBin();
  const basePort = await (block ??= portBlock());
  const controls = Array.from({ length: count }, (_, index) => join(folder, `sfu-${String(index)}.sock`));
  const sfus = await Promise.all(
    controls.map((path, index) =>
      startSfu(
        {
          control: { path },
          secret: SECRET,
          listenIp: `127.0.0.${String(20 + index)}`,
          announcedAddress: undefined,
          clientIps,
          webRtcPort: basePort + index,
          probePort: basePort + 10,
          linkPorts: { min: basePort + 20, max: basePort + BLOCK_PORTS - 1 },
          workers: 1,
          workerBin: bin,
          logLevel: 'silent',
        },
        silent,
      ),
    ),
  );
  const own = (index: number): Readonly<Record<string, string>> => ({
    HANSETAG_SFU_CONTROL: controls[index] ?? '',
    HANSETAG_SFU_SECRET: SECRET,
    ...(typeof settings === 'function' ? settings(index) : settings),
  });
  const federation = await startHomeservers(count, own, [], log);
  return {
    ...federation,
    async close() {
      await federation.close();
      for (const sfu of sfus) await sfu.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Asks the API of the web client, below `/_hansetag/client/v1/`. */
export async function hansetag(
  server: TestHomeserver,
  token: string | undefined,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(`${server.url}/_hansetag/client/v1/${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

/** A client of the session protocol. */
export class SessionClient {
  readonly told: { name: string; data: unknown }[] = [];
  /** All that came over the connection, as it came. */
  readonly frames: string[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: unknown): void }>();
  readonly #listeners = new Set<() => void>();
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      const frame = (data as Buffer).toString();
      this.frames.push(frame);
      this.#take(JSON.parse(frame) as Record<string, unknown>);
    });
  }

  static async open(server: TestHomeserver, { token }: Pick<TestUser, 'token'>): Promise<SessionClient> {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/_hansetag/client/v1/session`);
    const client = new SessionClient(socket);
    await once(socket, 'open');
    await client.ask('hello', { version: 1, accessToken: token });
    return client;
  }

  /** @throws the error of the protocol */
  ask<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    const id = ++this.#id;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject })) as Promise<Result<M>>;
  }

  /** Waits until something was told that matches, from the beginning of the session on. */
  async hears<N extends NotificationName>(
    name: N,
    matches: (data: NotificationData<N>) => boolean = () => true,
    patienceMs = 10_000,
  ): Promise<NotificationData<N>> {
    const find = (): { data: unknown } | undefined =>
      this.told.find((one) => one.name === name && matches(one.data as NotificationData<N>));
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const found = find();
      if (found) return found.data as NotificationData<N>;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${name} was not told; told was ${JSON.stringify(this.told)}`);
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#listeners.delete(done);
          resolve();
        };
        const timer = setTimeout(done, left);
        this.#listeners.add(done);
      });
    }
  }

  /** Resolves when the server has ended the connection. */
  async closed(): Promise<void> {
    await once(this.#socket, 'close');
  }

  close(): void {
    this.#socket.terminate();
  }

  #take(frame: Record<string, unknown>): void {
    if (typeof frame['notification'] === 'string') {
      this.told.push({ name: frame['notification'], data: frame['data'] });
      for (const listener of [...this.#listeners]) listener();
      return;
    }
    const waiting = this.#waiting.get(Number(frame['id']));
    this.#waiting.delete(Number(frame['id']));
    if (frame['error'] === undefined) waiting?.resolve(frame['result']);
    else waiting?.reject(frame['error']);
  }
}

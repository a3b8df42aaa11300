/** A real media server for homeservers of specs, behind a control line that can be slowed down. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { SfuConfig } from '../../../sfu/config.ts';
import type { SfuSnapshot } from '../../../sfu/protocol.ts';
import { startSfu, type RunningSfu } from '../../../sfu/server.ts';
import { SECRET, silent, workerBin } from '../../sfu/support.ts';
import { BLOCK_PORTS, portBlock } from '../../support/ports.ts';

let block: Promise<number> | undefined;

export class MediaServer {
  readonly running: RunningSfu;
  readonly address: string;
  readonly config: SfuConfig;
  readonly line: SlowLine;
  readonly #folder: string;

  private constructor(running: RunningSfu, config: SfuConfig, line: SlowLine, folder: string) {
    this.running = running;
    this.config = config;
    this.address = config.listenIp;
    this.line = line;
    this.#folder = folder;
  }

  /** @param address on loopback, one for each media server of a spec */
  static async start(address = '127.0.0.2', log: Logger = silent): Promise<MediaServer> {
    try {
      return await MediaServer.#startAt(await (block ??= portBlock()), address, log);
    } catch {
      // What a spec that failed has left is still at these ports.
      block = portBlock();
      return MediaServer.#startAt(await block, address, log);
    }
  }

  static async #startAt(basePort: number, address: string, log: Logger): Promise<MediaServer> {
    const folder = mkdtempSync(join(tmpdir(), 'hansetag-media-'));
    const path = join(folder, 'sfu.sock');
    const config: SfuConfig = {
      control: { path },
      secret: SECRET,
      listenIp: address,
      announcedAddress: undefined,
      clientIps: [],
      webRtcPort: basePort,
      probePort: basePort + 1,
      linkPorts: { min: basePort + 10, max: basePort + BLOCK_PORTS - 1 },
      workers: 1,
      workerBin: await workerBin(),
      logLevel: 'silent',
    };
    const running = await startSfu(config, log);
    return new MediaServer(running, config, await SlowLine.open(path, join(folder, 'line.sock')), folder);
  }

  /** For a homeserver that uses it. */
  get settings(): Readonly<Record<string, string>> {
    return { HANSETAG_SFU_CONTROL: this.line.path, HANSETAG_SFU_SECRET: SECRET };
  }

  conference(roomId: string): SfuSnapshot['conferences'][number] | undefined {
    return this.running.sfu.snapshot().conferences.find(({ conferenceId }) => conferenceId === roomId);
  }

  /** Whose transports there are in a conference, one entry for each transport. */
  labels(roomId: string): string[] {
    return (this.conference(roomId)?.transports ?? []).map(({ participantId }) => participantId).sort();
  }

  /** Transports of all kinds that the media worker itself has in a conference. */
  async transportsInWorker(roomId: string): Promise<number> {
    const conference = this.running.sfu.conferences.get(roomId);
    return conference ? (await conference.router.dump()).transportIds.length : 0;
  }

  /** Kills the media worker of a conference, as the kernel does when memory runs out. */
  killWorkerOf(roomId: string): void {
    const conference = this.running.sfu.conferences.get(roomId);
    if (!conference) throw new Error('The media server has no such conference.');
    process.kill(conference.worker.worker.pid, 'SIGKILL');
  }

  async close(): Promise<void> {
    await this.line.close();
    await this.running.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A control line whose messages arrive late, in their order. */
export class SlowLine {
  readonly path: string;
  /** How long the next message takes, in ms. */
  delay: () => number = () => 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held = Promise.resolve();
  #release: (() => void) | undefined;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.path = path;
  }

  static async open(target: string, path: string): Promise<SlowLine> {
    const server = createServer();
    const line = new SlowLine(server, path);
    server.on('connection', (near) => {
      const far = connect(target);
      line.#pipe(near, far);
      line.#pipe(far, near);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return line;
  }

  /** Nothing gets through until `release`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#release?.();
    this.#release = undefined;
  }

  /** The line breaks; the homeserver makes a new one. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.release();
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pipe(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    let before: Promise<void> = Promise.resolve();
    const then = (task: () => void): void => {
      const delay = this.delay();
      const slow = delay > 0 ? new Promise((resolve) => setTimeout(resolve, delay)) : undefined;
      before = before.then(async () => {
        await slow;
        await this.#held;
        task();
      });
    };
    from.on('data', (data) => then(() => to.write(data)));
    from.on('end', () => then(() => to.end()));
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { SfuClient } from '../../sfu/client.ts';
import { BUILD_TIMEOUT, SECRET, connect, eventually, workerBin } from './support.ts';

type Process = ChildProcessByStdio<null, Readable, Readable>;

describe('the SFU process', () => {
  let folder: string;
  let environment: Record<string, string>;
  const processes: Process[] = [];
  const clients: SfuClient[] = [];

  beforeAll(workerBin, BUILD_TIMEOUT);

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-sfu-'));
    const base = 30_000 + (process.pid % 100) * 10;
    environment = {
      HANSETAG_SFU_CONTROL: join(folder, 'control.sock'),
      HANSETAG_SFU_SECRET: SECRET,
      HANSETAG_SFU_LISTEN_IP: '127.0.0.4',
      HANSETAG_SFU_WEBRTC_PORT: String(base),
      HANSETAG_SFU_PROBE_PORT: String(base + 2),
      HANSETAG_SFU_LINK_PORTS: `${base + 3}-${base + 9}`,
      HANSETAG_SFU_WORKERS: '1',
      HANSETAG_SFU_WORKER_BIN: await workerBin(),
    };
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const child of processes.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  function start(overrides: Record<string, string> = {}): Process {
    const main = join(import.meta.dirname, '../../sfu/main.ts');
    const child = spawn(process.execPath, [main], {
      env: { ...environment, ...overrides },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    processes.push(child);
    return child;
  }

  async function ready(child: Process): Promise<SfuClient> {
    let output = '';
    child.stdout.on('data', (data) => (output += String(data)));
    await eventually(() => output.includes('"msg":"sfu ready"'), 'the line that tells it is ready');
    const client = connect(environment.HANSETAG_SFU_CONTROL ?? '');
    clients.push(client);
    await eventually(() => client.hello !== undefined);
    return client;
  }

  it('tells when it is ready and ends with SIGTERM, with its workers and its socket', async () => {
    const child = start();
    const client = await ready(child);
    const [worker] = (await client.request('stats', {})).workers;
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(existsSync(environment.HANSETAG_SFU_CONTROL ?? '')).toBeFalse();
    await eventually(() => !isAlive(worker?.pid ?? 0), 'the end of the worker');
  });

  it('outlives its only worker', async () => {
    const client = await ready(start());
    const [worker] = (await client.request('stats', {})).workers;
    process.kill(worker?.pid ?? 0, 'SIGKILL');
    await eventually(async () => {
      const [next] = (await client.request('stats', {})).workers;
      return next !== undefined && next.pid !== worker?.pid;
    });
  });

  it('starts again after a kill, although its socket is still there, and is another instance', async () => {
    const first = start();
    const client = await ready(first);
    const before = client.hello?.instanceId;
    first.kill('SIGKILL');
    await once(first, 'exit');
    expect(existsSync(environment.HANSETAG_SFU_CONTROL ?? '')).toBeTrue();
    await eventually(() => client.hello === undefined);
    await ready(start());
    client.close();
    expect(clients.at(-1)?.hello?.instanceId).not.toBe(before);
  });

  it('says what is wrong with its settings, without the secret', async () => {
    const child = start({ HANSETAG_SFU_SECRET: 'hunter2' });
    let told = '';
    child.stderr.on('data', (data) => (told += String(data)));
    const [code] = await once(child, 'close');
    expect(code).toBe(2);
    expect(told).toContain('HANSETAG_SFU_SECRET');
    expect(told).not.toContain('hunter2');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

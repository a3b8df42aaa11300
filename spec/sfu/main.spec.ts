import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { SfuClient } from '../../sfu/client.ts';
import { isRunning } from '../../deploy/quickstart/process-state.mjs';
import { COMPILED } from '../support/compiled.ts';
import { BUILD_TIMEOUT, SECRET, basePort, connect, eventually, workerBin } from './support.ts';

type Process = ChildProcessByStdio<null, Readable, Readable>;

const FAIL_ON_SIGUSR2 = 'process.on("SIGUSR2", () => { throw new Error("for this spec"); });';

describe('the SFU process', () => {
  let folder: string;
  let environment: Record<string, string>;
  const processes: Process[] = [];
  const clients: SfuClient[] = [];

  beforeAll(workerBin, BUILD_TIMEOUT);

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-sfu-'));
    const base = await basePort();
    environment = {
      ...COMPILED,
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
    expect(isRunning(worker?.pid ?? 0)).toBeFalse();
  });

  it('takes its workers along when it fails, and while it is still being started', async () => {
    const failing = start({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(FAIL_ON_SIGUSR2)}` });
    const client = await ready(failing);
    const [worker] = (await client.request('stats', {})).workers;
    failing.kill('SIGUSR2');
    expect(await once(failing, 'exit')).toEqual([1, null]);
    expect(isRunning(worker?.pid ?? 0)).toBeFalse();

    const early = start();
    await eventually(() => childrenOf(early.pid ?? 0).length > 0, 'its first worker');
    const pids = childrenOf(early.pid ?? 0);
    early.kill('SIGTERM');
    expect(await once(early, 'exit')).toEqual([0, null]);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('leaves a worker to itself when it is killed, and the worker ends', async () => {
    const child = start();
    const client = await ready(child);
    const [worker] = (await client.request('stats', {})).workers;
    child.kill('SIGKILL');
    await eventually(() => !isRunning(worker?.pid ?? 0), 'the end of the worker');
  });

  it('leaves no zombies where process 1 collects none, as in a container', async () => {
    if (process.getuid?.() !== 0) return pending('only root makes a namespace of processes');
    // Process 1 is a program that knows of no child. The exit code of the SFU can not be seen from here.
    const start1 = ['--pid', '--fork', '--kill-child', 'sh', '-c', '"$@" & exec sleep 60', 'sh'];
    const main = join(import.meta.dirname, '../../sfu/main.ts');
    const outside = spawn('unshare', [...start1, process.execPath, main], {
      env: { ...environment, PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    processes.push(outside);
    await ready(outside);
    const [first = 0] = childrenOf(outside.pid ?? 0);
    const [sfu = 0] = childrenOf(first);
    const workers = childrenOf(sfu);
    expect(workers.length).toBe(1);
    process.kill(sfu, 'SIGTERM');
    await eventually(() => !isRunning(sfu), 'the end of the SFU');
    expect(childrenOf(first)).withContext('the SFU, for which process 1 does not wait, and nobody else').toEqual([sfu]);
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

/** Process ids of the children of a process, zombies included. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning } from '../../deploy/quickstart/process-state.mjs';
import { ManagedProcess } from '../../deploy/quickstart/managed-process.ts';

const MODULE = new URL('../../deploy/quickstart/managed-process.ts', import.meta.url).href;
const GUARD = new URL('../../deploy/quickstart/end-with-parent.mjs', import.meta.url).href;

describe('A process of the demonstration', () => {
  let folder: string;
  let messages: string[];
  let process: ManagedProcess | undefined;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-process-'));
    messages = [];
  });

  afterEach(async () => {
    await process?.stop();
    process = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  function manage(script: string): ManagedProcess {
    const file = join(folder, 'program.mjs');
    writeFileSync(file, script);
    process = new ManagedProcess({
      name: 'program',
      args: ['--import', GUARD, file],
      cwd: folder,
      env: { GREETING: 'moin' },
      logFile: join(folder, 'program.log'),
      isReady: () => Promise.resolve(existsSync(join(folder, 'ready'))),
      log: (message) => messages.push(message),
    });
    return process;
  }

  const PROGRAM = `
    import { writeFileSync } from 'node:fs';
    console.log(process.env.GREETING, process.env.HOME);
    writeFileSync('ready', String(process.pid));
    process.on('SIGTERM', () => process.exit(0));
    setInterval(() => undefined, 1000);`;

  it('is ready when it can be used, has the given environment only, and writes its log', async () => {
    const program = manage(PROGRAM);
    await program.start();
    expect(readFileSync(join(folder, 'ready'), 'utf8')).toBe(String(program.pid));
    expect(readFileSync(join(folder, 'program.log'), 'utf8')).toBe('moin undefined\n');
  });

  it('is started again when it dies, and says so', async () => {
    const program = manage(PROGRAM);
    await program.start();
    const before = program.pid;
    rmSync(join(folder, 'ready'));
    program.kill('SIGKILL');
    while (program.pid === before) await pause(20);
    await program.ready();
    expect(program.pid).not.toBe(before);
    expect(messages[0]).toBe('The program has ended (SIGKILL); it is started again in 0.05 s.');
  });

  it('stays dead when that is wished, until it is restarted', async () => {
    const program = manage(PROGRAM);
    await program.start();
    program.kill('SIGKILL', { stayDead: true });
    while (program.pid !== undefined) await pause(20);
    await pause(1300);
    expect(program.pid).toBeUndefined();
    await program.restart();
    expect(program.pid).toBeDefined();
    expect(messages).toEqual([]);
  });

  it('that ends at once is reported with the end of its log, and not tried for ever', async () => {
    const program = manage(`console.error('the port is taken'); process.exit(1);`);
    await expectAsync(program.start()).toBeRejectedWithError(/has ended at once[^]*the port is taken/);
    expect(program.pid).toBeUndefined();
  });

  it('ends when the process that manages it is killed', async () => {
    writeFileSync(join(folder, 'child.mjs'), 'setInterval(() => undefined, 1000);');
    const script = `
      import { ManagedProcess } from ${JSON.stringify(MODULE)};
      const child = new ManagedProcess({
        name: 'child', args: ['--import', ${JSON.stringify(GUARD)}, 'child.mjs'], cwd: ${JSON.stringify(folder)},
        env: {}, logFile: ${JSON.stringify(join(folder, 'child.log'))}, isReady: async () => true, log: () => undefined,
      });
      await child.start();
      console.log(child.pid);`;
    const manager = spawn(globalThis.process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(manager.stdout, 'data');
    const pid = Number(String(line));
    expect(isRunning(pid)).toBeTrue();
    manager.kill('SIGKILL');
    await once(manager, 'close');
    while (isRunning(pid)) await pause(20);
    expect(isRunning(pid)).toBeFalse();
  });
});

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

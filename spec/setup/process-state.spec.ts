import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isRunning, processStart } from '../../deploy/quickstart/process-state.mjs';

describe('The state of a process', () => {
  it('is running for this one, and has the start that the kernel says', () => {
    expect(isRunning(process.pid)).toBeTrue();
    expect(processStart(process.pid)).toMatch(/^\d+$/);
  });

  it('is not running when there is no such process', () => {
    expect(isRunning(2 ** 30)).toBeFalse();
  });

  it('is not running for a zombie, although signals reach it', async () => {
    // The shell becomes a program that knows of no child and never waits for it.
    const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(parent.stdout, 'data');
    const pid = Number(String(line));
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(process.kill(pid, 0)).toBeTrue();
    expect(processStart(pid)).toBeUndefined();
    parent.kill('SIGKILL');
    await once(parent, 'close');
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lock, processStart, tryLock } from '../../deploy/quickstart/lock.mjs';

const MODULE = new URL('../../deploy/quickstart/lock.mjs', import.meta.url).href;

describe('The lock of the set-up', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-lock-'));
    path = join(folder, 'below', 'set-up.lock');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Another process that takes the lock and keeps it. */
  async function otherOwner() {
    const script = `
      import { tryLock } from ${JSON.stringify(MODULE)};
      console.log(typeof tryLock(${JSON.stringify(path)}));
      setInterval(() => undefined, 1000);`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(other.stdout, 'data');
    expect(String(line).trim()).toBe('function');
    return other;
  }

  it('is had by one process at a time, and names it to the others', async () => {
    const other = await otherOwner();
    expect(tryLock(path)).toBe(other.pid ?? 0);
    other.kill('SIGKILL');
    await once(other, 'close');
  });

  it('is free again when its owner was killed', async () => {
    const other = await otherOwner();
    other.kill('SIGKILL');
    await once(other, 'close');
    const unlock = tryLock(path);
    expect(unlock).toBeInstanceOf(Function);
    if (typeof unlock === 'function') unlock();
    expect(readdirSync(join(folder, 'below'))).toEqual([]);
  });

  it('is free when the process number of its owner belongs to another process by now', () => {
    tryLock(path);
    writeFileSync(path, `1 ${String(Number(processStart(1)) + 1)}`);
    expect(tryLock(path)).toBeInstanceOf(Function);
  });

  it('is waited for', async () => {
    const other = await otherOwner();
    const owners: number[] = [];
    const waiting = lock(path, (owner) => {
      owners.push(owner);
      other.kill('SIGKILL');
    });
    (await waiting)();
    expect(owners).toEqual([other.pid ?? 0]);
  });
});

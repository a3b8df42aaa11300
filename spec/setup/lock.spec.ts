import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lock, tryLock } from '../../deploy/quickstart/lock.mjs';

const MODULE = new URL('../../deploy/quickstart/lock.mjs', import.meta.url).href;

describe('The lock of the set-up', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag lock '));
    path = join(folder, 'below', 'set-up.lock');
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Another process that takes the lock and keeps it; `before` is what it is started by. */
  async function otherOwner(...before: string[]) {
    const script = `
      import { tryLock } from ${JSON.stringify(MODULE)};
      const result = await tryLock(${JSON.stringify(path)});
      console.log(typeof result, process.pid);
      setInterval(() => undefined, 1000);`;
    const [program = '', ...args] = [...before, process.execPath, '--input-type=module', '-e', script];
    const other = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(other.stdout, 'data');
    const [type, pid] = String(line).trim().split(' ');
    expect(type).toBe('function');
    return { starter: other, pid: Number(pid) };
  }

  async function take(): Promise<() => Promise<void>> {
    const unlock = await tryLock(path);
    if (typeof unlock === 'number') throw new Error(`process ${String(unlock)} has it`);
    return unlock;
  }

  it('is had by one process at a time, and names it to the others', async () => {
    const { starter, pid } = await otherOwner();
    expect(await tryLock(path)).toBe(pid);
    starter.kill('SIGKILL');
    await once(starter, 'close');
  });

  it('is had by one part of a process at a time', async () => {
    const unlock = await take();
    expect(await tryLock(path)).toBe(process.pid);
    await unlock();
    await (
      await take()
    )();
  });

  it('is given back by who has nothing else to do, and is not forgotten over it', async () => {
    // What is inherited by a process in the background keeps the holder's pipes open beyond its end.
    const script = `
      import { lock } from ${JSON.stringify(MODULE)};
      const unlock = await lock(${JSON.stringify(path)}, () => undefined);
      await unlock();
      console.log('given back');`;
    const flock = join(folder, 'flock');
    writeFileSync(flock, '#!/bin/sh\nsleep 0.5 < /dev/null &\nexec /usr/bin/flock "$@"\n', { mode: 0o755 });
    const owner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    owner.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = await once(owner, 'close');
    expect({ code, said }).toEqual({ code: 0, said: 'given back\n' });
  });

  it('is free again when it was given back, or when its owner was killed', async () => {
    const { starter } = await otherOwner();
    starter.kill('SIGKILL');
    await once(starter, 'close');
    await (
      await lock(path, () => undefined)
    )();
    await (
      await take()
    )();
  });

  it('is free when its owner is a zombie that nobody waits for', async () => {
    // The shell becomes a program that knows of no child.
    const { starter, pid } = await otherOwner('sh', '-c', '"$@" & exec sleep 60', 'sh');
    process.kill(pid, 'SIGKILL');
    await (
      await lock(path, () => undefined)
    )();
    starter.kill('SIGKILL');
    await once(starter, 'close');
  });

  it('is waited for', async () => {
    const { starter, pid } = await otherOwner();
    const owners: number[] = [];
    const waiting = lock(path, (owner) => {
      owners.push(owner);
      starter.kill('SIGKILL');
    });
    await (
      await waiting
    )();
    expect(owners).toEqual([pid]);
  });

  it('says what is in the way when its file can not be made', async () => {
    writeFileSync(join(folder, 'file'), '');
    path = join(folder, 'file/lock');
    await expectAsync(tryLock(path)).toBeRejectedWithError(/file/);
    path = join(folder, 'x'.repeat(300));
    await expectAsync(tryLock(path)).toBeRejectedWithError(/can not be taken.*too long/);
  });
});

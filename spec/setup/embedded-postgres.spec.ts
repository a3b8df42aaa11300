import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { isRoot } from '../../deploy/postgres/identity.ts';
import { isRunning } from '../../deploy/quickstart/process-state.mjs';
import { freePorts } from '../support/homeservers.ts';
import { startPostgres } from '../../deploy/postgres/embedded-postgres.ts';
import type { Postgres } from '../../deploy/postgres/embedded-postgres.ts';

const MODULE = new URL('../../deploy/postgres/embedded-postgres.ts', import.meta.url).href;

describe('The embedded PostgreSQL', () => {
  let folder: string;
  let dataDir: string;
  let socketDir: string;
  let running: Postgres[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-pg-'));
    chmodSync(folder, 0o755);
    dataDir = join(folder, 'data');
    socketDir = join(folder, 'socket');
    running = [];
  });

  afterEach(async () => {
    for (const postgres of running) await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(): Promise<Postgres> {
    const postgres = await startPostgres({ dataDir, socketDir, durable: false });
    running.push(postgres);
    return postgres;
  }

  it('keeps what was written when it is stopped and started again', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE meeting (name text)');
    await query(first.url, "INSERT INTO meeting VALUES ('Hafenrat')");
    await first.stop();
    expect(isRunning(first.pid)).toBeFalse();
    const second = await start();
    expect(await query(second.url, 'SELECT name FROM meeting')).toEqual([{ name: 'Hafenrat' }]);
  });

  it('listens on its socket only, in a folder that nobody else may enter', async () => {
    const { url } = await start();
    expect(await query(url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '' }]);
    expect(statSync(socketDir).mode & 0o777).toBe(0o700);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  });

  it('is reached by TCP only where that is asked for, on loopback, by who knows the password', async () => {
    const [port = 0] = await freePorts(1);
    const tcp = { host: '127.0.0.1', port, password: 'a-password-of-the-spec' };
    const postgres = await startPostgres({ dataDir, socketDir, durable: false, tcp });
    running.push(postgres);
    const by = (password: string): string => `postgres://hansetag:${password}@127.0.0.1:${String(port)}/hansetag`;
    expect(await query(by(tcp.password), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await query(postgres.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    await expectAsync(query(by('another-password'), 'SELECT 1')).toBeRejectedWithError(/password authentication/);
    for (const unsafe of [{ host: '0.0.0.0' }, { password: "short'; --" }]) {
      const options = { dataDir, socketDir, tcp: { ...tcp, ...unsafe } };
      await expectAsync(startPostgres(options)).toBeRejectedWithError(/127\.0\.0\.0\/8/);
    }
  });

  it('ends when the process that started it is killed, and the next start has its data', async () => {
    const script = `
      import { startPostgres } from ${JSON.stringify(MODULE)};
      const options = ${JSON.stringify({ dataDir, socketDir })};
      const postgres = await startPostgres(options);
      console.log(JSON.stringify({ url: postgres.url, pid: postgres.pid }));
      setInterval(() => undefined, 1000);`;
    const starter = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(starter.stdout, 'data');
    const { url, pid } = JSON.parse(String(line)) as { url: string; pid: number };
    await query(url, 'CREATE TABLE meeting AS SELECT 7 AS number');
    starter.kill('SIGKILL');
    await once(starter, 'close');
    const next = await start();
    expect(next.pid).not.toBe(pid);
    expect(isRunning(pid)).toBeFalse();
    expect(await query(next.url, 'SELECT number FROM meeting')).toEqual([{ number: 7 }]);
  });

  it('ends a server that is left over on its data before it starts', async () => {
    const first = await start();
    const second = await start();
    expect(isRunning(first.pid)).toBeFalse();
    expect(isRunning(second.pid)).toBeTrue();
    await first.ended;
  });

  it('says so when the server dies', async () => {
    const { pid, ended } = await start();
    process.kill(pid, 'SIGKILL');
    await expectAsync(ended).toBeResolved();
  });

  it('is not misled by the process number of a server that is long gone', async () => {
    await (await start()).stop();
    writeFileSync(join(dataDir, 'postmaster.pid'), `${String(process.pid)}\n${dataDir}\n0\n5432\n`);
    expect(await query((await start()).url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('makes its data anew when the first start was interrupted', async () => {
    mkdirSync(join(folder, 'data.draft-1234/base'), { recursive: true });
    writeFileSync(join(folder, 'data.draft-1234/PG_VERSION'), '18\n');
    expect(await query((await start()).url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(existsSync(join(folder, 'data.draft-1234'))).toBeFalse();
  });

  it('puts a folder that is no database aside and does not delete it', async () => {
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'letter.txt'), 'Dear Sir or Madam');
    await start();
    const aside = readdirSync(folder).filter((name) => name.startsWith('data.unusable-'));
    expect(aside.length).toBe(1);
    expect(existsSync(join(folder, String(aside[0]), 'letter.txt'))).toBeTrue();
  });

  it('refuses data of another major version and leaves it as it is', async () => {
    await (await start()).stop();
    writeFileSync(join(dataDir, 'PG_VERSION'), '15\n');
    await expectAsync(start()).toBeRejectedWith(jasmine.objectContaining({ code: 'OTHER_VERSION' }));
    expect(existsSync(join(dataDir, 'global/pg_control'))).toBeTrue();
  });

  it('starts twice at the same time where no programs are in the cache yet', async () => {
    const cacheDir = join(folder, 'empty cache');
    const starts = ['one', 'two'].map((name) =>
      startPostgres({
        dataDir: join(folder, name),
        socketDir: join(folder, `socket-${name}`),
        cacheDir,
        durable: false,
      }),
    );
    const results = await Promise.allSettled(starts);
    for (const result of results) if (result.status === 'fulfilled') running.push(result.value);
    for (const result of results) if (result.status === 'rejected') fail(result.reason);
    for (const { url } of running) expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('names the folder that its user may not enter, when it is started as root', async () => {
    if (!isRoot()) return pending('only root has another user for it');
    const home = join(folder, 'home');
    mkdirSync(home, { mode: 0o700 });
    dataDir = join(home, 'data');
    await expectAsync(start()).toBeRejectedWithError(new RegExp(`may not enter ${home}`));
    dataDir = join(folder, 'data');
    const withCache = startPostgres({ dataDir, socketDir, cacheDir: join(home, 'cache'), durable: false });
    await expectAsync(withCache).toBeRejectedWithError(/HANSETAG_CACHE/);
  });

  it('says that the path of the socket is too long before it makes anything', async () => {
    socketDir = join(folder, 'x'.repeat(100));
    await expectAsync(start()).toBeRejectedWith(jasmine.objectContaining({ code: 'CAN_NOT_MAKE' }));
    expect(readdirSync(folder)).toEqual([]);
  });
});

async function query(connectionString: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return rows;
  } finally {
    await client.end();
  }
}

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { NOBODY } from '../../deploy/postgres/identity.ts';
import { PORTS, freeBasePort } from '../../deploy/quickstart/layout.ts';
import { EmptyMachine, Start, ask, pause } from './support.ts';
import type { Person } from './support.ts';

/** Time for a homeserver to find its SFU, in ms. */
const HEALTH_PATIENCE_MS = 30_000;
/** Time for the last helpers of an ended start to see that it has ended, in ms. */
const LAST_PATIENCE_MS = 10_000;

describe('The first start', () => {
  let machine: EmptyMachine;
  let self: Person;
  const starts: Start[] = [];

  beforeAll(async () => {
    machine = new EmptyMachine();
    self = await machine.self();
  });

  afterEach(async () => {
    for (const start of starts.splice(0)) await start.end('SIGTERM', 'all');
  });

  afterAll(() => machine.remove());

  function start(person: Person, port: number): Start {
    const started = new Start(person, port);
    starts.push(started);
    return started;
  }

  async function mustWork(started: Start): Promise<void> {
    const addresses = await started.addresses();
    expect(addresses.length).withContext(started.output).toBe(2);
    for (const address of addresses) {
      await mustBeHealthy(address);
      expect(await ask(address, '/de/')).toEqual({ status: 200, body: jasmine.stringMatching(/<html/i) });
    }
  }

  /** Everything is up: the homeserver, its database, and its SFU, which may take a moment longer. */
  async function mustBeHealthy(address: string): Promise<void> {
    let health = '';
    for (const deadline = Date.now() + HEALTH_PATIENCE_MS; Date.now() < deadline; await pause()) {
      health = (await ask(address, '/_hansetag/health')).body;
      if (health.includes('"ok"')) break;
    }
    expect(JSON.parse(health)).toEqual({ status: 'ok', database: 'up', sfu: 'up', identityProvider: 'up' });
  }

  async function nobodyIsLeft(): Promise<void> {
    for (const deadline = Date.now() + LAST_PATIENCE_MS; Date.now() < deadline; await pause()) {
      if (machine.processes().length === 0) break;
    }
    expect(machine.processes()).toEqual([]);
  }

  async function twoPorts(): Promise<[number, number]> {
    const one = await freeBasePort();
    for (;;) {
      const other = await freeBasePort();
      if (Math.abs(other - one) >= PORTS) return [one, other];
    }
  }

  it('works where nothing is cached, for two at the same moment, and leaves no process behind', async () => {
    const ports = await twoPorts();
    const [one, other] = ports.map((port) => start(self, port));
    if (one === undefined || other === undefined) throw new Error('unreachable');
    await Promise.all([mustWork(one), mustWork(other)]);
    // Ctrl-C at a terminal reaches everything that runs in it; others tell the one process that they know.
    expect(await one.end('SIGINT', 'all')).toBe('ended');
    await mustWork(other);
    expect(await other.end('SIGINT', 'script')).toBe('ended');
    await nobodyIsLeft();
  });

  it('works for an ordinary user in a home that nobody else may enter', async () => {
    const person = await machine.ordinaryUser();
    if (person === undefined) return pending('only root can become another user, who must be able to run this Node');
    // The client is the same; it was built above.
    const built = join(self.clone, 'dist');
    if (existsSync(built)) cpSync(built, join(person.clone, 'dist'), { recursive: true });
    execFileSync('chown', ['-R', `${String(NOBODY)}:${String(NOBODY)}`, person.clone]);
    const started = start(person, await freeBasePort());
    await mustWork(started);
    expect(await started.end('SIGTERM', 'npm')).toBe('ended');
    await nobodyIsLeft();
  });
});

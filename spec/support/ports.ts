/**
 * Ports for specs of several processes at the same time: below those that the kernel gives to whoever does not care, and
 * above those that `freeBasePort` tries, so that nobody takes one between its choice and its use.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { isFree } from '../../deploy/quickstart/layout.ts';

const FIRST = 20_000;
const BLOCKS = 100;
/** Ports of a block. */
export const BLOCK_PORTS = 100;

let own: Promise<number> | undefined;
let taken = 0;

/** The first of so many ports of which no other process with specs uses any, until this one ends. */
export async function portBlock(): Promise<number> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let tries = 0; tries < BLOCKS; tries += 1) {
    const first = FIRST + ((start + tries) % BLOCKS) * BLOCK_PORTS;
    if (await claim(first)) return first;
  }
  throw new Error('Other specs have all ports.');
}

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const first = await (own ??= portBlock());
  for (let tries = 0; tries < BLOCK_PORTS; tries += 1) {
    const port = first + (taken++ % BLOCK_PORTS);
    if (await isFree({ host: '127.0.0.1', port })) return port;
  }
  throw new Error('This process has no free port any more.');
}

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** A name of the kernel's for as long as this process lives, in the network that the ports are in (unix(7), abstract). */
async function claim(first: number): Promise<boolean> {
  const holder = createServer().unref();
  holder.listen(`\0hansetag-spec-ports-${String(first)}`);
  try {
    await once(holder, 'listening');
    return true;
  } catch {
    return false;
  }
}

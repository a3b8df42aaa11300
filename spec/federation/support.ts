import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { KeyLookup } from '../../federation/keyring.ts';
import type { RoomVersion } from '../../federation/room-versions.ts';
import { roomVersion } from '../../federation/room-versions.ts';

/** A room version that must exist. */
export function version(id: string): RoomVersion {
  const found = roomVersion(id);
  if (found === undefined) throw new Error(`no room version ${id}`);
  return found;
}

/** A key lookup over a table `server keyId` -> public key, all valid at any time. */
export function keysOf(table: Record<string, string>): KeyLookup {
  return { key: (server, keyId) => Promise.resolve(table[`${server} ${keyId}`]) };
}

/** The error that a promise is rejected with, or undefined. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Listens with room for two connections, and says where. */
const LISTENER = `const server = require('node:net').createServer();
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => process.send(server.address().port));`;

/** A port of 127.0.0.1 that takes no connection and refuses none: whoever knocks hears nothing. */
export async function blackHole(): Promise<{ readonly port: number; close(): Promise<void> }> {
  const child = spawn(process.execPath, ['-e', LISTENER], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [port] = (await once(child, 'message')) as [number];
  // From now on it accepts nothing: the kernel takes two more connections, and then drops whatever asks for one.
  child.kill('SIGSTOP');
  const sockets = [1, 2].map(() => connect(port, '127.0.0.1').on('error', () => undefined));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return {
    port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

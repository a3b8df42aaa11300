/** Inputs that are cheap to send and would be dear to take. */
import { once } from 'node:events';
import type { WebSocket } from 'ws';
import sharp from 'sharp';
import type { Sharp } from 'sharp';

/** So many objects inside one another. */
export function nested(depth: number): Record<string, unknown> {
  let value: Record<string, unknown> = {};
  for (let level = 1; level < depth; level += 1) value = { a: value };
  return value;
}

/** Bodies of a length whose reading costs much. */
export const LONG_BODIES: Readonly<Record<string, (bytes: number) => string>> = {
  numbers: (bytes) => `{"pdus":[${'1.5,'.repeat(bytes / 4)}1]}`,
  objects: (bytes) => `{"pdus":[${'{},'.repeat(bytes / 3)}{}]}`,
  'one string': (bytes) => `{"pdus":["${'a'.repeat(bytes)}",1.5]}`,
  brackets: (bytes) => '['.repeat(bytes),
};

/** Patterns of push rules with many ways to miss a long text. */
export const DEAR_PATTERNS: readonly string[] = [
  '*a*a*a*a*a*a*a*a*a*a*b',
  '*a?'.repeat(85),
  '?'.repeat(255),
  `*${'a?'.repeat(120)}b`,
  `${'*?'.repeat(127)}b`,
  'a'.repeat(255),
];

/** A square of one colour, so that the file is small. @param size in pixels */
export function picture(size: number): Sharp {
  return sharp({ create: { width: size, height: size, channels: 4, background: 'teal' } });
}

/** For PNG: the lines come in seven passes, so that it must be decoded whole. */
export const INTERLACED = { progressive: true, compressionLevel: 1 };

/** Sends requests of the session protocol without waiting for any answer. @returns the code with which it is cut off */
export async function flood(socket: WebSocket, requests: number): Promise<unknown> {
  const closed = once(socket, 'close');
  for (let id = 1_000; id < 1_000 + requests; id += 1) {
    socket.send(JSON.stringify({ id, method: 'ping', params: {} }), () => undefined);
  }
  const [code]: unknown[] = await closed;
  return code;
}

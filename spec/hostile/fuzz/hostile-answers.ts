/** Answers of a hostile server: such that are good but for something, and such that are cut, slow, endless or reset. */
import type { ServerResponse } from 'node:http';
import type { Random } from '../../soak/random.ts';
import { mutateBody } from './mutate.ts';

export interface GoodAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

const HOSTILE_STATUS = [100, 204, 206, 301, 304, 400, 401, 403, 404, 429, 500, 502, 503, 599];
/** Longer than any answer of ours needs to be, in bytes. */
const LARGE = 5 * 1024 * 1024;
const CHUNK = 64 * 1024;
const SLOW_MS = 50;

/** Answers; what it is comes from the generator, so that nobody has to wait for an answer that is only slow. */
export function answerHostilely(random: Random, response: ServerResponse, good: GoodAnswer): void {
  response.on('error', () => undefined);
  const { status, type } = good;
  const body = random.chance(0.3) ? good.body : wrongBody(random, good);
  const send = (code: number, headers: Record<string, string>, content: Buffer): void => {
    response.writeHead(code, headers);
    response.end(content);
  };
  random.weighted<() => void>([
    [75, () => send(status, { 'Content-Type': type }, body)],
    [4, () => send(random.of(HOSTILE_STATUS), { 'Content-Type': type, Location: 'https://127.0.0.1:1/' }, body)],
    [3, () => send(status, { 'Content-Type': 'text/html; charset=utf-16' }, body)],
    [3, () => send(status, { 'Content-Type': type, 'Content-Encoding': 'gzip' }, body)],
    [
      3,
      () => send(status, { 'Content-Type': type, 'Cache-Control': 'max-age=99999999999999', Expires: 'never' }, body),
    ],
    // Half of it, then the end of the connection.
    [
      4,
      () => {
        response.writeHead(status, { 'Content-Type': type, 'Content-Length': String(body.length + 10) });
        response.write(body, () => response.destroy());
      },
    ],
    [2, () => response.socket?.destroy()],
    [
      2,
      () => {
        response.writeHead(status, { 'Content-Type': type });
        drip(response, body, 0);
      },
    ],
    [
      2,
      () =>
        send(
          status,
          { 'Content-Type': type },
          Buffer.alloc(random.of([100_000, LARGE]), random.of(['[', '{"a":', ' ', '1,'])),
        ),
    ],
    [
      1,
      () => {
        response.writeHead(status, { 'Content-Type': type });
        flood(response, LARGE * 20);
      },
    ],
    [1, () => send(status, { 'Content-Type': type, 'X-Long': 'x'.repeat(60_000) }, body)],
  ])();
}

function wrongBody(random: Random, { body }: GoodAnswer): Buffer {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    return Buffer.from(mutateBody(random, { errcode: 'M_UNKNOWN' }));
  }
  return Buffer.from(mutateBody(random, value));
}

function drip(response: ServerResponse, body: Buffer, from: number): void {
  if (response.destroyed) return;
  if (from >= Math.min(body.length, 20)) {
    response.end(body.subarray(from));
    return;
  }
  response.write(body.subarray(from, from + 1));
  setTimeout(() => drip(response, body, from + 1), SLOW_MS);
}

/** More than anybody should read. */
function flood(response: ServerResponse, bytes: number): void {
  const chunk = Buffer.alloc(CHUNK, 'x');
  let left = bytes;
  const more = (): void => {
    while (left > 0 && !response.destroyed) {
      left -= CHUNK;
      if (!response.write(chunk)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  more();
}

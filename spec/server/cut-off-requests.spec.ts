import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { errorHandler } from '../../homeserver/base/errors.ts';

describe('A request that is cut off in the middle', () => {
  it('is no error of the server, and does not stand as one in the log', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => lines.push(line) });
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: failed, resolve: fail } = Promise.withResolvers<void>();
    const app = express();
    app.put('/cut', async (request) => {
      begin();
      try {
        for await (const _chunk of request);
      } finally {
        fail();
      }
    });
    app.put('/broken', () => {
      throw new Error('broken');
    });
    app.use(errorHandler(log));
    const server = createServer((request, response) => void app(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write('PUT /cut HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf of it');
      await begun;
      socket.destroy();
      await failed;
      const broken = await fetch(`http://127.0.0.1:${String(port)}/broken`, { method: 'PUT', body: 'all of it' });
      expect(broken.status).toBe(500);
      expect(lines.map((line) => (JSON.parse(line) as { err: { message: string } }).err.message)).toEqual(['broken']);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

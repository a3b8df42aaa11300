/** Metrics of the process and its HTTP responses for Prometheus, on their own port. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { RequestHandler } from 'express';
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

export interface Metrics {
  /** Middleware that measures response times. */
  measure(server: 'client' | 'federation'): RequestHandler;
  /** Counts an event or EDU that another server refused permanently. */
  countDropped(kind: 'pdu' | 'edu'): void;
  /** Counts to-device messages dropped because a device has too many queued. */
  countUndelivered(messages: number): void;
  /** Serves `GET /metrics`; the caller starts and closes it. */
  readonly server: Server;
}

const BUCKETS_S = [0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export function metrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: 'hansetag_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer.',
    // Paths as labels would create a series for each room.
    labelNames: ['server', 'method', 'status'],
    buckets: BUCKETS_S,
    registers: [registry],
  });
  const dropped = new Counter({
    name: 'hansetag_outbound_items_dropped_total',
    help: 'Events and messages that another server refused for good.',
    labelNames: ['kind'],
    registers: [registry],
  });
  const undelivered = new Counter({
    name: 'hansetag_to_device_messages_dropped_total',
    help: 'Messages for devices of this server that had too many waiting.',
    registers: [registry],
  });
  return {
    countUndelivered: (messages) => undelivered.inc(messages),
    countDropped: (kind) => dropped.inc({ kind }),
    measure: (server) => (request, response, next) => {
      const end = durations.startTimer({ server, method: request.method });
      response.once('finish', () => end({ status: response.statusCode }));
      next();
    },
    server: createServer((request, response) => {
      if (request.method !== 'GET' || request.url !== '/metrics') {
        response.writeHead(404).end();
        return;
      }
      registry.metrics().then(
        (text) => response.writeHead(200, { 'Content-Type': registry.contentType }).end(text),
        () => response.writeHead(500).end(),
      );
    }),
  };
}

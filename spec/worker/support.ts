/** The worker that the specs of this folder run: the one of the cache, built first if it is not there. */
import { join } from 'node:path';
import { createWorker } from 'mediasoup';
import type { PipeTransport, PlainTransport, Router, RouterRtpCodecCapability, Worker } from 'mediasoup/types';
import { workerBinary } from '../../deploy/worker/build.mjs';
import type { RtpEndpoint } from './rtp.ts';

/** Building the worker takes some minutes, in milliseconds. */
export const BUILD_TIMEOUT = 1_200_000;

export const OPUS: RouterRtpCodecCapability = {
  kind: 'audio',
  mimeType: 'audio/opus',
  preferredPayloadType: 100,
  clockRate: 48000,
  channels: 2,
};

export const VP8: RouterRtpCodecCapability = {
  kind: 'video',
  mimeType: 'video/VP8',
  preferredPayloadType: 101,
  clockRate: 90000,
};

const listenInfo = { protocol: 'udp', ip: '127.0.0.1' } as const;

export async function startWorker(): Promise<Worker> {
  const workerBin = await workerBinary({ mediasoupDir: join(import.meta.dirname, '../../node_modules/mediasoup') });
  return createWorker({ workerBin, logLevel: 'error' });
}

/** A transport that takes RTP from whoever sends first. */
export function openSource(router: Router): Promise<PlainTransport> {
  return router.createPlainTransport({ listenInfo, rtcpMux: true, comedia: true });
}

/** A transport that sends to an endpoint of the test. */
export async function openSink(router: Router, endpoint: RtpEndpoint): Promise<PlainTransport> {
  const transport = await router.createPlainTransport({ listenInfo, rtcpMux: true });
  await transport.connect(endpoint.address);
  return transport;
}

export function openPipe(router: Router, options: { enableSrtp: boolean }): Promise<PipeTransport> {
  return router.createPipeTransport({ listenInfo, enableRtx: true, ...options });
}

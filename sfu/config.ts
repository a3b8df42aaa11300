/** The settings of an SFU, from the environment: the only reader of it in this folder. */
import { SocketAddress, isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { parseControlAddress, type ControlAddress } from './address.ts';

export interface SfuConfig {
  readonly control: ControlAddress;
  /** Shared with the homeserver. Never log it. */
  readonly secret: string;
  /** The address of this machine that media, links and probes arrive at. */
  readonly listenIp: string;
  /** What clients and peers are told instead, behind NAT: an address or a host name. */
  readonly announcedAddress: string | undefined;
  /** Further addresses of this machine at which clients reach the workers; links and probes keep to `listenIp`. */
  readonly clientIps: readonly string[];
  /** The port (UDP and TCP) of the first worker; the next worker has the next one. */
  readonly webRtcPort: number;
  /** UDP ports of links, both included. */
  readonly linkPorts: { readonly min: number; readonly max: number };
  /** The UDP port where probes of links are asked and answered. */
  readonly probePort: number;
  readonly workers: number;
  /** The media worker's binary; undefined is the one that mediasoup finds. */
  readonly workerBin: string | undefined;
  readonly logLevel: string;
}

export class SfuConfigError extends Error {
  readonly code = 'bad-configuration';
}

/**
 * A client takes 32 candidates (`transportOptionsSchema`), and each address has one of UDP and one of TCP: also
 * `listenIp`.
 */
const MAX_CLIENT_IPS = 15;

const MISSING = { error: 'is missing' };
const PORT = 'must be a port, 1 to 65535';
const WORKERS = 'must be a number from 1 to 256';
const port = z.coerce.number(PORT).int(PORT).min(1, PORT).max(65535, PORT);

const schema = z.object({
  HANSETAG_SFU_CONTROL: z.string(MISSING).transform((text, context) => {
    const address = parseControlAddress(text);
    if (address) return address;
    context.addIssue({ code: 'custom', message: 'must be an absolute path of at most 107 bytes, or host:port' });
    return z.NEVER;
  }),
  HANSETAG_SFU_SECRET: z
    .string(MISSING)
    .min(16, 'must have at least 16 characters')
    .max(512, 'must have at most 512 characters'),
  HANSETAG_SFU_LISTEN_IP: z
    .string()
    .refine((text) => isIP(text) !== 0, 'must be an IP address')
    .default('127.0.0.1'),
  HANSETAG_SFU_ANNOUNCED_ADDRESS: z.string().min(1).max(255, 'must have at most 255 characters').optional(),
  HANSETAG_SFU_CLIENT_IPS: z
    .string()
    .default('')
    .transform((text) => text.split(',').filter((ip) => ip !== ''))
    .refine((ips) => ips.every((ip) => isIP(ip) !== 0), 'must be IP addresses, separated by commas')
    .refine((ips) => ips.length <= MAX_CLIENT_IPS, `must be at most ${MAX_CLIENT_IPS} addresses`),
  HANSETAG_SFU_WEBRTC_PORT: port.default(44440),
  HANSETAG_SFU_LINK_PORTS: z
    .string()
    .regex(/^\d{1,5}-\d{1,5}$/, 'must be like 40000-40999')
    .default('40000-40999')
    .transform((text, context) => {
      const [min = 0, max = 0] = text.split('-').map(Number);
      if (min >= 1 && min <= max && max <= 65535) return { min, max };
      context.addIssue({ code: 'custom', message: 'must be two ports, the lower one first' });
      return z.NEVER;
    }),
  HANSETAG_SFU_PROBE_PORT: port.default(44439),
  HANSETAG_SFU_WORKERS: z.coerce
    .number(WORKERS)
    .int(WORKERS)
    .min(1, WORKERS)
    .max(256, WORKERS)
    .default(availableParallelism()),
  HANSETAG_SFU_WORKER_BIN: z.string().min(1).optional(),
  HANSETAG_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
});

/**
 * @param environment empty values count as absent
 * @throws SfuConfigError naming each setting that is missing or wrong, without its value
 */
export function readSfuConfig(environment: Readonly<Record<string, string | undefined>> = process.env): SfuConfig {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new SfuConfigError(lines.join('\n'));
  }
  const values = parsed.data;
  const config: SfuConfig = {
    control: values.HANSETAG_SFU_CONTROL,
    secret: values.HANSETAG_SFU_SECRET,
    listenIp: values.HANSETAG_SFU_LISTEN_IP,
    announcedAddress: values.HANSETAG_SFU_ANNOUNCED_ADDRESS,
    clientIps: values.HANSETAG_SFU_CLIENT_IPS,
    webRtcPort: values.HANSETAG_SFU_WEBRTC_PORT,
    linkPorts: values.HANSETAG_SFU_LINK_PORTS,
    probePort: values.HANSETAG_SFU_PROBE_PORT,
    workers: values.HANSETAG_SFU_WORKERS,
    workerBin: values.HANSETAG_SFU_WORKER_BIN,
    logLevel: values.HANSETAG_LOG_LEVEL,
  };
  checkAddresses(config);
  checkPorts(config);
  return config;
}

/** Clients and peers are told an address at which they reach this machine, and each one is listened on once. */
function checkAddresses({ listenIp, announcedAddress, clientIps }: SfuConfig): void {
  const [first, ...others] = [listenIp, ...clientIps].map(inOneSpelling);
  if (isEverywhere(first) && announcedAddress === undefined) {
    throw new SfuConfigError('HANSETAG_SFU_ANNOUNCED_ADDRESS: is needed when listening at every address');
  }
  if (others.some(isEverywhere)) {
    throw new SfuConfigError('HANSETAG_SFU_CLIENT_IPS: must be addresses that clients can reach, not every address');
  }
  if (new Set([first, ...others]).size <= others.length) {
    throw new SfuConfigError('HANSETAG_SFU_CLIENT_IPS: must be further addresses, each of them once');
  }
}

function inOneSpelling(address: string): string {
  return new SocketAddress({ address, family: isIP(address) === 6 ? 'ipv6' : 'ipv4' }).address;
}

function isEverywhere(address: string | undefined): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** Ports that overlap fail here with a clear message, not at some meeting with a bind error. */
function checkPorts({ webRtcPort, workers, linkPorts, probePort }: SfuConfig): void {
  const lastWebRtcPort = webRtcPort + workers - 1;
  if (lastWebRtcPort > 65535) {
    throw new SfuConfigError('HANSETAG_SFU_WEBRTC_PORT: leaves no port for each worker');
  }
  if (webRtcPort <= linkPorts.max && lastWebRtcPort >= linkPorts.min) {
    throw new SfuConfigError('HANSETAG_SFU_LINK_PORTS: overlaps the ports of the workers');
  }
  if (isTaken(probePort)) {
    throw new SfuConfigError('HANSETAG_SFU_PROBE_PORT: is a port of a worker or of links');
  }

  function isTaken(candidate: number): boolean {
    return (
      (candidate >= webRtcPort && candidate <= lastWebRtcPort) ||
      (candidate >= linkPorts.min && candidate <= linkPorts.max)
    );
  }
}

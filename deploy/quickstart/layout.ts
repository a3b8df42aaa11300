/** Who and where: the organisations of the demonstration, their people, addresses and ports. */
import { createServer as createTcpServer } from 'node:net';
import { availableParallelism, networkInterfaces } from 'node:os';

export const ORGANISATION_KEYS = ['luebeck', 'hamburg'] as const;
export type OrganisationKey = (typeof ORGANISATION_KEYS)[number];

export interface Person {
  /** User name at the identity provider. */
  readonly user: string;
  readonly name: string;
  readonly password: string;
  /** Such as `@bert:luebeck.localhost:8448`. */
  readonly matrixId: string;
}

export interface OrganisationLayout {
  readonly key: OrganisationKey;
  /** As people see it. */
  readonly name: string;
  readonly colour: string;
  /** Matrix server name, with its port. */
  readonly serverName: string;
  readonly host: string;
  /** Where the web client is, such as `http://luebeck.localhost:8440`. */
  readonly url: string;
  readonly clientPort: number;
  /** The organisation's own loopback address: media, federation and identity provider. */
  readonly address: string;
  /** An address of this machine, open to the network, at which media is reached as well. */
  readonly lanAddress: string | undefined;
  readonly federationPort: number;
  readonly issuer: string;
  readonly probePort: number;
  readonly webRtcPort: number;
  readonly workers: number;
  readonly linkPorts: string;
  readonly people: readonly Person[];
}

export const DEFAULT_BASE_PORT = 8440;
export const PASSWORD = 'demo';
/** From the base port on, this many ports belong to the demonstration. */
export const PORTS = 200;

const ORGANISATIONS = {
  luebeck: {
    name: 'Lübeck',
    colour: '#b3202c',
    people: { bert: 'Bert Brandt', clara: 'Clara Carstens', dieter: 'Dieter Drews' },
  },
  hamburg: {
    name: 'Hamburg',
    colour: '#0b4f9e',
    people: { anna: 'Anna Petersen', fatima: 'Fatima Yıldız', jens: 'Jens Vogt' },
  },
};
const PROVIDER_OFFSET = 5;
const FEDERATION_OFFSET = 8;
const PROBE_OFFSET = 9;
const PKI_OFFSET = 10;
const WEB_RTC_OFFSET = 20;
const LINK_OFFSET = 100;
/** At an address that both organisations use, each has its own ports. */
const MAX_WORKERS = (LINK_OFFSET - WEB_RTC_OFFSET) / ORGANISATION_KEYS.length;

/** Which identity provider the organisations have: the light one of the demonstration, or a realm each of one Keycloak. */
export type ProviderKind = 'light' | 'keycloak';

/**
 * Where everything of the demonstration is.
 *
 * Browsers send every name under `localhost` to 127.0.0.1, so the clients' addresses differ in their port only. All
 * else of an organisation has a loopback address of its own, so that traffic between the two can be told apart.
 *
 * @param lanAddress where media is reached as well, see `findLanAddress`
 */
export function layout(
  basePort: number,
  lanAddress?: string,
  provider: ProviderKind = 'light',
): Record<OrganisationKey, OrganisationLayout> {
  const [luebeck, hamburg] = ORGANISATION_KEYS.map((key, index) => {
    const plan = organisation(key, index, basePort, lanAddress);
    return provider === 'light' ? plan : { ...plan, issuer: `${keycloakUrl(basePort)}/realms/${key}` };
  });
  if (!luebeck || !hamburg) throw new Error('an organisation is missing');
  return { luebeck, hamburg };
}

/** Where Keycloak is, which both organisations use. */
export function keycloakUrl(basePort: number): string {
  return `http://127.0.0.1:${String(basePort + PROVIDER_OFFSET)}`;
}

/** The port, at 127.0.0.1, at which the authority of the demonstration says what is revoked. */
export function pkiPort(basePort: number): number {
  return basePort + PKI_OFFSET;
}

/**
 * The first IPv4 address of this machine that is not loopback. Firefox gathers no ICE candidates at loopback
 * addresses, so that it needs an SFU at this one.
 *
 * @returns undefined when the machine is in no network
 */
export function findLanAddress(interfaces = networkInterfaces()): string | undefined {
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

function organisation(
  key: OrganisationKey,
  index: number,
  base: number,
  lanAddress: string | undefined,
): OrganisationLayout {
  const { name, colour, people } = ORGANISATIONS[key];
  const host = `${key}.localhost`;
  const address = `127.0.0.${String(2 + index)}`;
  const clientPort = base + index;
  const federationPort = base + FEDERATION_OFFSET;
  const serverName = `${host}:${String(federationPort)}`;
  return {
    key,
    name,
    colour,
    serverName,
    host,
    url: `http://${host}:${String(clientPort)}`,
    clientPort,
    address,
    lanAddress,
    federationPort,
    issuer: `http://${address}:${String(base + PROVIDER_OFFSET)}`,
    probePort: base + PROBE_OFFSET,
    webRtcPort: base + WEB_RTC_OFFSET + index * MAX_WORKERS,
    workers: Math.min(availableParallelism(), MAX_WORKERS),
    linkPorts: `${String(base + LINK_OFFSET)}-${String(base + PORTS - 1)}`,
    people: Object.entries(people).map(([user, fullName]) => ({
      user,
      name: fullName,
      password: PASSWORD,
      matrixId: `@${user}:${serverName}`,
    })),
  };
}

/** TCP addresses that an organisation listens at. */
export function listenAddresses({
  clientPort,
  address,
  lanAddress,
  federationPort,
  issuer,
  webRtcPort,
  workers,
}: OrganisationLayout) {
  const mediaAddresses = lanAddress === undefined ? [address] : [address, lanAddress];
  return [
    { host: '127.0.0.1', port: clientPort },
    { host: address, port: federationPort },
    { host: new URL(issuer).hostname, port: Number(new URL(issuer).port) },
    ...mediaAddresses.flatMap((host) =>
      Array.from({ length: workers }, (_, index) => ({ host, port: webRtcPort + index })),
    ),
  ];
}

/** Whether nobody listens at a TCP address of this machine. */
export function isFree({ host, port }: { host: string; port: number }): Promise<boolean> {
  return new Promise((done) => {
    const server = createTcpServer();
    server.once('error', () => done(false));
    server.listen(port, host, () => server.close(() => done(true)));
  });
}

/** A base port all of whose addresses are free, for tests that run beside others. */
export async function freeBasePort(): Promise<number> {
  for (;;) {
    // Below those of spec/support/ports.ts, and of the kernel, which gives some to whoever does not care.
    const base = 10_000 + PORTS * Math.floor(Math.random() * 50);
    const addresses = Object.values(layout(base)).flatMap(listenAddresses);
    if ((await Promise.all(addresses.map(isFree))).every(Boolean)) return base;
  }
}

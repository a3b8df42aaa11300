/**
 * What trust by certificate costs a request of another server, once the server is judged: `npm run bench -- trust`.
 *
 * All that a request asks of it beyond what it asks in `open` mode: what is decided of the server, and whether the key that
 * signed is one of its statement. Servers take turns, so that no answer is at hand from the one before. The last line is
 * JSON, in microseconds for a request; the aim is less than 100.
 */
import { cpus } from 'node:os';
import { pino } from 'pino';
import { CertificateTrust } from '../../homeserver/engine/trust/certificate-trust.ts';
import { ListTrust } from '../../homeserver/engine/trust/trust.ts';
import type { Trust, UsedKey } from '../../homeserver/engine/trust/trust.ts';

const PEERS = 1_000;
const REQUESTS = 1_000_000;
const ROUNDS = 7;
const AIM_US = 100;

const servers = Array.from({ length: PEERS }, (_, index) => `stadt${String(index)}.example`);
const keys: readonly UsedKey[] = [{ keyId: 'ed25519:a_key', publicKey: 'A'.repeat(43) }];

async function judged(): Promise<Trust> {
  const trust = await CertificateTrust.open({
    serverName: 'hamburg.example',
    anchors: '',
    decisions: {
      all: () => Promise.resolve([]),
      find: () => Promise.resolve(undefined),
      put: () => Promise.resolve(),
    },
    fetch: () => Promise.resolve({ jws: 'statement' }),
    judge: (_jws, { now }) =>
      Promise.resolve({
        trusted: true,
        organisation: 'A city',
        keys: new Map(keys.map(({ keyId, publicKey }) => [keyId, publicKey])),
        number: 1,
        digest: '',
        until: now + 24 * 60 * 60 * 1000,
        serial: '',
        issuer: '',
        notAfter: now,
      }),
    isNeighbour: () => Promise.resolve(true),
    log: pino({ level: 'silent' }),
  });
  for (const server of servers) await trust.settle(server);
  return trust;
}

/** Microseconds for one request. */
function cost(trust: Trust): number {
  const begun = performance.now();
  for (let index = 0; index < REQUESTS; index += 1) {
    const server = servers[index % PEERS] ?? '';
    const judgement = trust.decision(server)?.trusted && trust.judgeKeys(server, keys);
    if (!judgement || judgement instanceof Promise) throw new Error(`${server} is not in the cache.`);
  }
  return ((performance.now() - begun) * 1_000) / REQUESTS;
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

const open = new ListTrust('hamburg.example', undefined);
const pki = await judged();
const figures = { open: [] as number[], pki: [] as number[] };
for (let round = 0; round < ROUNDS; round += 1) {
  figures.open.push(cost(open));
  figures.pki.push(cost(pki));
}
const result = { open_us: median(figures.open), pki_us: median(figures.pki) };
const more = result.pki_us - result.open_us;
console.error(`pki costs ${more.toFixed(3)} µs more for a request; the aim is less than ${String(AIM_US)} µs`);
console.log(JSON.stringify({ ...result, more_us: more, aim_us: AIM_US, cpu: cpus()[0]?.model, cpus: cpus().length }));

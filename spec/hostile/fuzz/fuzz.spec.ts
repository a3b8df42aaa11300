/** Some seconds of the permanent attacker for each face; `npm run fuzz` attacks for longer. */
import { Random } from '../../soak/random.ts';
import { BUILD_TIMEOUT, workerBin } from '../../sfu/support.ts';
import { ACCOUNT_EXAMPLES, CLIENT_EXAMPLES } from './examples.ts';
import { FACES } from './faces.ts';
import type { FaceName } from './faces.ts';
import { clientRoutes } from './faces/client.ts';
import { mutateBody } from './mutate.ts';
import { exampleOf, routeInput } from './route-inputs.ts';
import { fuzz } from './run.ts';
import type { Finding } from './run.ts';
import { Target } from './target-process.ts';

const FOR_MS = 3_000;
const TIMEOUT_MS = 150_000;
/** What is answered in this way shows that inputs get past the door. */
const TAKEN = /^(2xx|result|link is there)$/;

describe('hostile input', () => {
  beforeAll(() => workerBin(), BUILD_TIMEOUT);

  for (const face of Object.keys(FACES) as FaceName[]) {
    it(
      `breaks nothing, stalls nobody and leaves nothing behind: ${face}`,
      async () => {
        const findings: Finding[] = [];
        const report = await fuzz({ face, seed: 1, forMs: FOR_MS, onFinding: (finding) => findings.push(finding) });
        expect(findings).toEqual([]);
        expect(report.ok).toBeTrue();
        expect(report.inputs).toBeGreaterThan(10);
        expect(Object.keys(report.answers).some((kind) => TAKEN.test(kind)))
          .withContext(JSON.stringify(report.answers))
          .toBeTrue();
      },
      TIMEOUT_MS,
    );
  }

  it('comes from the seed and the number alone', () => {
    const routes = [{ method: 'PUT', path: '/rooms/:roomId/send/:eventType/:transactionId' }];
    const make = (seed: number, number: number): string =>
      JSON.stringify(routeInput(new Random(seed, `client ${String(number)}`), routes, CLIENT_EXAMPLES));
    const made = Array.from({ length: 200 }, (_, number) => make(1, number));
    expect(Array.from({ length: 200 }, (_, number) => make(1, number))).toEqual(made);
    expect(Array.from({ length: 200 }, (_, number) => make(2, number))).not.toEqual(made);
    expect(new Set(made).size).toBeGreaterThan(100);
  });

  it('has what parsers stumble over', () => {
    const bodies = Array.from({ length: 3_000 }, (_, number) =>
      mutateBody(new Random(1, String(number)), { a: 'text', b: [1, 2], c: { d: 3 } }),
    );
    for (const part of [
      '\\u0000',
      '\\ud800',
      '"__proto__"',
      '1e999',
      '{"a":{"a":{"a":',
      '[[[[[[',
      '"length":{"valueOf"',
    ]) {
      expect(bodies.some((body) => body.includes(part)))
        .withContext(part)
        .toBeTrue();
    }
  });

  it(
    'begins at a good request for every path of the client API that takes one',
    async () => {
      const target = await Target.start('homeserver', {});
      try {
        const { routes } = target.homeserver;
        expect(routes.length).toBeGreaterThan(200);
        const writing = (about: 'client' | 'accounts') =>
          clientRoutes(routes, about).filter(({ method }) => method === 'PUT' || method === 'POST');
        const lacking = [
          ...writing('client').filter((route) => !exampleOf(route, CLIENT_EXAMPLES)),
          ...writing('accounts').filter((route) => !exampleOf(route, ACCOUNT_EXAMPLES)),
        ];
        expect(lacking).toEqual([]);
      } finally {
        await target.close();
      }
    },
    TIMEOUT_MS,
  );
});

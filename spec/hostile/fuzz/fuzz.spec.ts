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
import { Targets } from './targets.ts';

const FOR_MS = 3_000;
const TIMEOUT_MS = 150_000;
/** A face that has not had so many inputs was hardly attacked. */
const AT_LEAST = 50;
/** What is answered in this way shows that inputs get past the door. */
const TAKEN = /^(2xx|result|link is there)$/;

function isEnough(inputs: number, kindsOfAnswers: readonly string[]): boolean {
  return inputs >= AT_LEAST && kindsOfAnswers.some((kind) => TAKEN.test(kind));
}

describe('A permanent attacker: hostile input', () => {
  const targets = new Targets();
  /** One may come when its face is through: it is found with the next, or in the end. */
  const findings: Finding[] = [];

  beforeAll(() => workerBin(), BUILD_TIMEOUT);
  afterAll(async () => {
    await targets.close();
    expect(findings).toEqual([]);
  }, TIMEOUT_MS);

  for (const face of Object.keys(FACES) as FaceName[]) {
    it(
      `breaks nothing, stalls nobody and leaves nothing behind: ${face}`,
      async () => {
        const onFinding = (finding: Finding): unknown => findings.push(finding);
        const options = { face, seed: 1, forMs: FOR_MS, isEnough, onFinding };
        const report = await fuzz(options, targets);
        expect(findings.splice(0)).toEqual([]);
        expect(report.ok).toBeTrue();
        expect(isEnough(report.inputs, Object.keys(report.answers)))
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
      const { routes } = (await targets.shared('homeserver')).homeserver;
      expect(routes.length).toBeGreaterThan(200);
      const writing = (about: 'client' | 'accounts') =>
        clientRoutes(routes, about).filter(({ method }) => method === 'PUT' || method === 'POST');
      const lacking = [
        ...writing('client').filter((route) => !exampleOf(route, CLIENT_EXAMPLES)),
        ...writing('accounts').filter((route) => !exampleOf(route, ACCOUNT_EXAMPLES)),
      ];
      expect(lacking).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

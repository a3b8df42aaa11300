/**
 * `npm run fuzz -- --face F [--minutes M] [--seed S] [--inputs A-B]`: attacks one face of a target of its own. The inputs
 * come from the seed; `--inputs` sends only those numbers, one after the other, to see a finding again. Findings are
 * printed as they are made, and the last line is the report as JSON. The exit code is 1 when there was a finding.
 */
import { parseArgs } from 'node:util';
import { FACES, isFaceName } from './faces.ts';
import { fuzz } from './run.ts';
import type { Finding } from './run.ts';
import { Targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    face: { type: 'string', default: '' },
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    inputs: { type: 'string' },
  },
});

const { face } = values;
const minutes = Number(values.minutes);
const seed = Number(values.seed);
const [, from, to] = /^(\d+)(?:-(\d+))?$/.exec(values.inputs ?? '') ?? [];
const isWrong = !(minutes > 0) || !Number.isSafeInteger(seed) || (values.inputs !== undefined && from === undefined);

if (!isFaceName(face) || isWrong) {
  console.error('npm run fuzz -- --face F [--minutes M] [--seed S] [--inputs A-B]');
  console.error(`Faces are: ${Object.keys(FACES).join(', ')}.`);
  process.exitCode = 2;
} else {
  const targets = new Targets();
  try {
    const options = {
      face,
      seed,
      forMs: minutes * 60_000,
      ...(from === undefined ? {} : { only: { from: Number(from), to: Number(to ?? from) } }),
      onFinding: (finding: Finding) => console.log(JSON.stringify(finding)),
    };
    const report = await fuzz(options, targets);
    console.log(JSON.stringify(report));
    if (!report.ok) process.exitCode = 1;
  } finally {
    await targets.close();
  }
}

/** `cert roll-key`. */
import { rollSigningKey } from '../../base/signing-key-file.ts';
import { EXIT, UsageError } from '../command.ts';
import type { Arguments, Command } from '../command.ts';
import { readSettings, settingOptions } from '../config.ts';

const HOUR_MS = 60 * 60_000;
const DEFAULT_HOURS = 48;
const MAX_HOURS = 24 * 365;

export const rollKey: Command = {
  summary: 'Makes the next Matrix signing key, which takes over after an overlap',
  details:
    'A running server publishes the next key within a minute and signs with it from the named time on, without a\n' +
    'restart. What the key before has signed stays valid; it is published as an old key then. Use --now when somebody\n' +
    'else may have the key.',
  options: {
    ...settingOptions('signing-key'),
    in: { value: 'HOURS', help: `when the next key begins to sign; default ${String(DEFAULT_HOURS)}` },
    now: { help: 'the next key signs at once' },
  },
  run: async (args) => {
    const file = readSettings(args).require('signing-key');
    const { before, next, from } = await rollSigningKey(file, Date.now() + waitOf(args));
    console.log(
      `The next signing key is ${next}. It signs from ${new Date(from).toISOString()}; until then ${before} does.\n` +
        `A running server publishes both within a minute; no restart is needed. The keys are in ${file}: back it up.`,
    );
    return EXIT.good;
  },
};

function waitOf(args: Arguments): number {
  const given = args.get('in');
  if (args.isSet('now')) {
    if (given !== undefined) throw new UsageError('Either --in or --now.');
    return 0;
  }
  const hours = given === undefined ? DEFAULT_HOURS : Number(given);
  if (given === '' || !Number.isFinite(hours) || hours < 0 || hours > MAX_HOURS) {
    throw new UsageError(`--in must be a number of hours, at most ${String(MAX_HOURS)}.`);
  }
  return hours * HOUR_MS;
}

/** `npx hansetag cert …`: the organisation's certificate and the server's signing keys. */
import { CommandError, EXIT, helpOf, parseCommand, table, UsageError } from '../command.ts';
import type { Command } from '../command.ts';
import { check } from './check-command.ts';
import { importCertificate } from './import-command.ts';
import { key, request } from './key-command.ts';
import { renew } from './renew-command.ts';
import { rollKey } from './roll-key-command.ts';
import { show } from './show-command.ts';
import { statement } from './statement-command.ts';

const COMMANDS: Readonly<Record<string, Command>> = {
  key,
  request,
  import: importCertificate,
  show,
  check,
  renew,
  'roll-key': rollKey,
  statement,
};

const HELP = `Usage: npx hansetag cert <command> [options]

Commands:
${table(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary]))}

Options of one command: npx hansetag cert <command> --help

The settings are those of the homeserver, from the environment or from --env-file FILE; an option takes precedence.
Exit codes: 0 done, 1 it failed or something is wrong, 2 it was asked for in a wrong way, 3 all is good but the
certificate ends within 30 days.`;

/** @returns the exit code */
export async function runCert(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(HELP);
    return name === undefined ? EXIT.usage : EXIT.good;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    console.error(`There is no command "${name}".\n\n${HELP}`);
    return EXIT.usage;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    console.log(helpOf(`cert ${name}`, command));
    return EXIT.good;
  }
  try {
    return await command.run(parseCommand(command, rest));
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\nMore: npx hansetag cert ${name} --help`);
      return EXIT.usage;
    }
    // What the system says names the file and the reason, such as a missing permission.
    const isKnown = error instanceof CommandError || (error instanceof Error && 'code' in error);
    console.error(isKnown ? error.message : error);
    return EXIT.failed;
  }
}

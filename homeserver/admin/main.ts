/** The command line for administrators. */
import { runCert } from './cert/index.ts';
import { UsageError } from './command.ts';

const HELP = `Usage: npx hansetag <command>

Commands:
  cert   the organisation's certificate and the server's signing keys

More: npx hansetag cert --help`;

const [command, ...args] = process.argv.slice(2);
if (command === 'cert') process.exitCode = await runCert(args);
else if (command === undefined || command === '--help' || command === '-h' || command === 'help') console.log(HELP);
else {
  console.error(`${new UsageError(`There is no command "${command}".`).message}\n\n${HELP}`);
  process.exitCode = 2;
}

/** The homeserver process: settings from the environment, start, and an orderly end. */
import { flushCompileCache } from 'node:module';
import { ConfigError, loadConfig } from './config.ts';
import { createLog } from './base/log.ts';
import { startHomeserver } from './app/server.ts';

/** An end that takes longer than this is not orderly any more, in ms. */
const END_PATIENCE_MS = 10_000;

const config = readConfig();
const log = createLog(config.logLevel);

let ending = false;
let stop = (): Promise<void> => Promise.resolve();

function end(reason: string, exitCode: number): void {
  if (ending) return;
  ending = true;
  log.info({ reason }, 'the homeserver ends');
  setTimeout(() => process.exit(exitCode || 1), END_PATIENCE_MS).unref();
  stop()
    .catch((error: unknown) => log.error({ err: error }, 'the end was not orderly'))
    .finally(() => process.exit(exitCode));
}

process.on('SIGTERM', () => end('SIGTERM', 0));
process.on('SIGINT', () => end('SIGINT', 0));
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'an error that nobody has caught');
  end('error', 1);
});
if (config.exitWithParent) {
  process.stdin.on('close', () => end('the standard input has closed', 0));
  process.stdin.on('error', () => end('the standard input has closed', 0));
  process.stdin.resume();
}

try {
  const homeserver = await startHomeserver(config, log);
  stop = () => homeserver.close();
  // What was compiled is kept now: who is killed writes nothing at the end, and people wait for the next start.
  flushCompileCache();
} catch (error) {
  log.fatal({ err: error }, 'the homeserver could not be started');
  process.exit(1);
}

function readConfig() {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(2);
  }
}

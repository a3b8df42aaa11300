/** The homeserver process: reads the settings from the environment, starts, and shuts down cleanly. */
import { flushCompileCache } from 'node:module';
import { ConfigError, loadConfig } from './config.ts';
import { createLog } from './base/log.ts';
import { startHomeserver } from './app/server.ts';

/** Time limit for a clean shutdown, in ms. */
const END_PATIENCE_MS = 10_000;

const config = readConfig();
const log = createLog(config.logLevel);

let ending = false;
let stop = (): Promise<void> => Promise.resolve();

function end(reason: string, exitCode: number): void {
  if (ending) return;
  ending = true;
  log.info({ reason }, 'the homeserver is shutting down');
  setTimeout(() => process.exit(exitCode || 1), END_PATIENCE_MS).unref();
  stop()
    .catch((error: unknown) => log.error({ err: error }, 'the shutdown was not clean'))
    .finally(() => process.exit(exitCode));
}

process.on('SIGTERM', () => end('SIGTERM', 0));
process.on('SIGINT', () => end('SIGINT', 0));
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'an uncaught error');
  end('error', 1);
});
if (config.exitWithParent) {
  process.stdin.on('close', () => end('the standard input was closed', 0));
  process.stdin.on('error', () => end('the standard input was closed', 0));
  process.stdin.resume();
}

try {
  const homeserver = await startHomeserver(config, log);
  stop = () => homeserver.close();
  // Write the compile cache now: a killed process writes nothing, and people wait for the next start.
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

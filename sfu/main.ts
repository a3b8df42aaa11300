/** The SFU process. Reads its settings from the environment (config.ts); SIGTERM or SIGINT ends it with its workers. */
import { flushCompileCache } from 'node:module';
import { pino } from 'pino';
import { SfuConfigError, readSfuConfig, type SfuConfig } from './config.ts';
import { startSfu } from './server.ts';

/** Time limit for a clean shutdown, in ms. */
const END_PATIENCE_MS = 5000;

function settings(): SfuConfig {
  try {
    return readSfuConfig();
  } catch (error) {
    if (!(error instanceof SfuConfigError)) throw error;
    process.stderr.write(`The SFU can not start:\n${error.message}\n`);
    process.exit(2);
  }
}

const config = settings();
const log = pino({ level: config.logLevel, base: { process: 'sfu' } });
const starting = startSfu(config, log);

let stopping = false;
/** Shuts down cleanly; a signal may arrive while everything is still starting. */
function stop(exitCode: number): void {
  if (stopping) return;
  stopping = true;
  setTimeout(() => process.exit(1), END_PATIENCE_MS).unref();
  starting
    .then(
      (running) => running.close(),
      // It failed to start, and has logged that.
      () => undefined,
    )
    .then(
      () => process.exit(exitCode),
      (error: unknown) => {
        log.error({ err: error }, 'sfu did not stop cleanly');
        process.exit(1);
      },
    );
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    log.info({ signal }, 'sfu stopping');
    stop(0);
  });
}
// The state is unknown after this, but the workers are stopped.
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'sfu failed');
  stop(1);
});

try {
  await starting;
  const { listenIp, webRtcPort, linkPorts, probePort, workers } = config;
  // Write the compile cache now: a killed process writes nothing, and a meeting waits for the next start.
  flushCompileCache();
  if (!stopping) log.info({ listenIp, webRtcPort, linkPorts, probePort, workers }, 'sfu ready');
} catch (error) {
  log.fatal({ err: error }, 'sfu cannot start');
  stop(1);
}

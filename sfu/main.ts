/** The SFU process. Settings come from the environment (config.ts); it ends with SIGTERM or SIGINT, and its workers too. */
import { flushCompileCache } from 'node:module';
import { pino } from 'pino';
import { SfuConfigError, readSfuConfig, type SfuConfig } from './config.ts';
import { startSfu } from './server.ts';

/** Who has not closed everything by then ends all the same, in milliseconds. */
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
/** Ends in good order, which a signal may ask for while everything is still being started. */
function stop(exitCode: number): void {
  if (stopping) return;
  stopping = true;
  setTimeout(() => process.exit(1), END_PATIENCE_MS).unref();
  starting
    .then(
      (running) => running.close(),
      // It could not start, and has said so.
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
// What state it is in is not known any more, but it takes its workers along.
process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'sfu failed');
  stop(1);
});

try {
  await starting;
  const { listenIp, webRtcPort, linkPorts, probePort, workers } = config;
  // What was compiled is kept now: who is killed writes nothing at the end, and a meeting waits for the next start.
  flushCompileCache();
  if (!stopping) log.info({ listenIp, webRtcPort, linkPorts, probePort, workers }, 'sfu ready');
} catch (error) {
  log.fatal({ err: error }, 'sfu can not start');
  stop(1);
}

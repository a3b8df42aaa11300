/** The SFU process. Settings come from the environment (config.ts); it ends with SIGTERM or SIGINT. */
import { pino } from 'pino';
import { SfuConfigError, readSfuConfig, type SfuConfig } from './config.ts';
import { startSfu } from './server.ts';

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

try {
  const running = await startSfu(config, log);
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'sfu stopping');
    running.close().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'sfu did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const { listenIp, webRtcPort, linkPorts, probePort, workers } = config;
  log.info({ listenIp, webRtcPort, linkPorts, probePort, workers }, 'sfu ready');
} catch (error) {
  log.fatal({ err: error }, 'sfu can not start');
  process.exit(1);
}

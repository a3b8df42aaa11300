/** An SFU with its control connection: run by `main.ts`, and by specs several times. */
import type { Logger } from 'pino';
import type { SfuConfig } from './config.ts';
import { ControlServer } from './control-server.ts';
import { ORPHAN_GRACE_MS } from './protocol.ts';
import { handleRequest, requestHandlers } from './requests.ts';
import { Sfu } from './sfu.ts';

export interface RunningSfu {
  readonly sfu: Sfu;
  /** May be called more than once. */
  close(): Promise<void>;
}

/** @param options.orphanGraceMs how long media goes on without a homeserver, in milliseconds */
export async function startSfu(
  config: SfuConfig,
  log: Logger,
  { orphanGraceMs = ORPHAN_GRACE_MS }: { orphanGraceMs?: number } = {},
): Promise<RunningSfu> {
  let control: ControlServer | undefined = undefined;
  const sfu: Sfu = await Sfu.start(config, log, (name, data) => control?.notify(name, data));
  const handlers = requestHandlers(sfu);
  try {
    control = await ControlServer.listen({
      control: config.control,
      secret: config.secret,
      orphanGraceMs,
      log,
      handle: (method, params) => handleRequest(handlers, method, params),
      onOrphaned: () => {
        log.warn({ conferences: sfu.conferences.size }, 'no homeserver has reconnected: closing all conferences');
        sfu.closeAll();
      },
    });
  } catch (error) {
    await sfu.close();
    throw error;
  }
  const server = control;
  let closing: Promise<void> | undefined = undefined;
  return { sfu, close: () => (closing ??= server.close().finally(() => sfu.close())) };
}

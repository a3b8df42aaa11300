/** The identity provider of the demonstration as a process; it ends when its standard input closes. */
import { loadProviderConfig, ProviderConfigError } from './config.ts';
import { startIdentityProvider } from './server.ts';

try {
  const running = await startIdentityProvider(loadProviderConfig(process.env));
  const end = (): void => {
    const exit = (): never => process.exit(0);
    running.close().then(exit, exit);
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.stdin.on('close', end).on('error', end).resume();
} catch (error) {
  console.error(error instanceof ProviderConfigError ? error.message : error);
  process.exit(1);
}

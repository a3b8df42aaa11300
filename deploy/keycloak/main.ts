/** The Keycloak of the demonstration as a process; it ends when its standard input closes. */
import { z } from 'zod';
import { KeycloakError, startKeycloak } from './server.ts';

const text = z.string().min(1).max(500);
const realms = z.array(
  z.object({
    name: text,
    organisation: text,
    publicUrl: z.url(),
    clientSecret: z.string().min(16),
    people: z.array(z.object({ user: text, firstName: text, lastName: text, email: z.email(), password: text })),
  }),
);
const settings = z
  .object({
    HANSETAG_KEYCLOAK_FOLDER: text,
    // Everybody knows the demo's passwords: it must not be reachable from elsewhere.
    HANSETAG_KEYCLOAK_HOST: text.regex(/^127(\.\d{1,3}){3}$/, 'must be in 127.0.0.0/8'),
    HANSETAG_KEYCLOAK_PORT: z.coerce.number().int().min(1).max(65_535),
    HANSETAG_KEYCLOAK_ADMIN_PASSWORD: text,
    HANSETAG_KEYCLOAK_REALMS: z.string().transform((json) => realms.parse(JSON.parse(json))),
  })
  .parse(process.env);

let stop: (() => Promise<void>) | undefined;
let ending = false;
const end = (): void => {
  ending = true;
  const exit = (): never => process.exit(0);
  // Java sees that this process is gone, and ends.
  if (stop === undefined) exit();
  else stop().then(exit, exit);
};
process.on('SIGTERM', end);
process.on('SIGINT', end);
process.stdin.on('close', end).on('error', end).resume();
try {
  const running = await startKeycloak({
    folder: settings.HANSETAG_KEYCLOAK_FOLDER,
    host: settings.HANSETAG_KEYCLOAK_HOST,
    port: settings.HANSETAG_KEYCLOAK_PORT,
    adminPassword: settings.HANSETAG_KEYCLOAK_ADMIN_PASSWORD,
    realms: settings.HANSETAG_KEYCLOAK_REALMS,
    database: { kind: 'file' },
  });
  ({ stop } = running);
  await running.ended;
  if (!ending) process.exit(1);
} catch (error) {
  console.error(error instanceof KeycloakError ? error.message : error);
  process.exit(1);
}

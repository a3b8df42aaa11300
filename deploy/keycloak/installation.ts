/**
 * Keycloak, ready to start: an installation that somebody names, or the distribution as Maven gets it, prepared once
 * for each machine.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cacheDir } from '../cache.mjs';
import { installPackages } from '../quickstart/debian-packages.mjs';
import { lock } from '../quickstart/lock.mjs';
import { SetUpError } from '../quickstart/progress.mjs';
import { runProgram } from '../quickstart/program.mjs';

export interface Installation {
  /** Keycloak's own folder, prepared for a fast start. Several processes may use it at once. */
  readonly home: string;
  /** The Java program that runs it. */
  readonly java: string;
}

/** Keycloak is prepared for one kind of database. */
export type DatabaseKind = 'file' | 'postgres';

const BUILT_FOR: Readonly<Record<DatabaseKind, string>> = { file: 'dev-file', postgres: 'postgres' };
const VERSION = '26.7.3';
const ARTIFACT = `org.keycloak:keycloak-quarkus-dist:${VERSION}:tar.gz`;
/** SHA-256 of that file. */
const CHECKSUM = '77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47';
const OLDEST_JAVA = 17;
/** In Debian: Java 17 in release 12, newer later. */
const JAVA_PACKAGE = 'default-jre-headless';
const SYSTEM_JAVAS = '/usr/lib/jvm';
/** Preparing it once is not worth the time of the best compiler. */
const QUICK_COMPILER = '-XX:TieredStopAtLevel=1';
const KEPT_OUTPUT = 4_000;

/**
 * Finds or makes an installation of Keycloak. HANSETAG_KEYCLOAK_HOME names one that is copied, so that it stays as it is;
 * else Maven gets the distribution by the settings that this machine has for it. Who comes while another process
 * prepares it waits for that.
 *
 * @throws SetUpError saying what is missing, and what to do
 */
export async function keycloakInstallation(
  kind: DatabaseKind,
  progress: (words: string) => void = () => undefined,
): Promise<Installation> {
  const java = await requireJava(progress);
  const given = process.env['HANSETAG_KEYCLOAK_HOME'];
  const source = given === undefined || given === '' ? undefined : resolve(given);
  const which = source === undefined ? VERSION : await nameOf(source);
  const home = join(cacheDir(), `keycloak-${which}${kind === 'file' ? '' : `-${kind}`}`);
  const complete = join(home, 'complete');
  if (existsSync(complete)) return { home, java };
  const unlock = await lock(`${home}.lock`, () => progress('another process prepares Keycloak'));
  try {
    if (existsSync(complete)) return { home, java };
    // What an interrupted attempt left.
    await rm(home, { recursive: true, force: true });
    await mkdir(home, { recursive: true });
    if (source === undefined) await unpackDistribution(home, progress);
    else await cp(source, home, { recursive: true, filter: (from) => from !== join(source, 'data') });
    progress('preparing Keycloak, once for each machine');
    await must(join(home, 'bin/kc.sh'), ['build', `--db=${BUILT_FOR[kind]}`], 'Keycloak could not be prepared.', {
      JAVA: java,
      JAVA_OPTS_APPEND: QUICK_COMPILER,
    });
    await writeFile(complete, '');
    return { home, java };
  } finally {
    await unlock();
  }
}

/** @throws SetUpError with the command that installs Java where this process may not */
async function requireJava(progress: (words: string) => void): Promise<string> {
  const found = await findJava();
  if (found !== undefined) return found;
  progress(`Java ${String(OLDEST_JAVA)} or newer is missing and gets installed`);
  await installPackages([JAVA_PACKAGE], progress);
  const java = await findJava();
  if (java === undefined) {
    throw new SetUpError(
      `Keycloak needs Java ${String(OLDEST_JAVA)} or newer, and ${JAVA_PACKAGE} has brought none. JAVA_HOME may name one.`,
    );
  }
  return java;
}

/** The first Java that is new enough: of JAVA_HOME, of the path, of Debian's folder. */
async function findJava(): Promise<string | undefined> {
  const { JAVA_HOME } = process.env;
  const installed = await readdir(SYSTEM_JAVAS).catch(() => []);
  const candidates = [
    ...(JAVA_HOME === undefined || JAVA_HOME === '' ? [] : [join(JAVA_HOME, 'bin/java')]),
    'java',
    ...installed.map((name) => join(SYSTEM_JAVAS, name, 'bin/java')),
  ];
  for (const candidate of candidates) {
    const { code, output } = await runProgram(candidate, ['-version']);
    const [, major] = /version "(\d+)/.exec(output) ?? [];
    if (code === 0 && Number(major) >= OLDEST_JAVA) return candidate;
  }
  return undefined;
}

/** Each installation is prepared for itself, and again after an update of it. @throws SetUpError */
async function nameOf(source: string): Promise<string> {
  const version = await readFile(join(source, 'version.txt'), 'utf8').catch(() => undefined);
  if (version === undefined || !existsSync(join(source, 'bin/kc.sh'))) {
    throw new SetUpError(`HANSETAG_KEYCLOAK_HOME is ${source}, where there is no Keycloak: it has bin/kc.sh in it.`);
  }
  return createHash('sha256').update(`${source}\0${version}`).digest('hex').slice(0, 12);
}

async function unpackDistribution(home: string, progress: (words: string) => void): Promise<void> {
  if ((await runProgram('mvn', ['--version'])).code !== 0) await installPackages(['maven'], progress);
  progress(`Maven gets Keycloak ${VERSION}`);
  const folder = join(home, 'distribution');
  await must(
    'mvn',
    ['-B', '-q', 'dependency:copy', `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${folder}`],
    `Maven could not get Keycloak ${VERSION}. HANSETAG_KEYCLOAK_HOME may name an installation of it instead.`,
  );
  const [name = ''] = await readdir(folder);
  const file = join(folder, name);
  const checksum = createHash('sha256');
  for await (const chunk of createReadStream(file)) checksum.update(chunk as Buffer);
  if (checksum.digest('hex') !== CHECKSUM) {
    throw new SetUpError(
      `What Maven got as Keycloak ${VERSION} is something else: its checksum is wrong. Nothing of it was run.`,
    );
  }
  progress('unpacking Keycloak');
  await must('tar', ['-xzf', file, '-C', home, '--strip-components=1'], 'Keycloak could not be unpacked.');
  await rm(folder, { recursive: true });
}

async function must(
  program: string,
  args: readonly string[],
  what: string,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const { code, output } = await runProgram(program, args, { env: { ...process.env, ...env } });
  if (code !== 0) throw new SetUpError(`${what}\n${output.slice(-KEPT_OUTPUT)}`);
}

#!/usr/bin/env node
/**
 * `npx hansetag …`: the command line for administrators. Plain JavaScript for Node 20, which looks for Node 24 and leaves
 * everything to main.ts.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LOWEST_NODE = 24;
const QUIET = '--disable-warning=ExperimentalWarning';
const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const INSTALLED = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));

const isNewEnough = Number(process.versions.node.split('.')[0]) >= LOWEST_NODE;
const node = existsSync(INSTALLED) ? INSTALLED : isNewEnough ? process.execPath : undefined;
if (node === undefined) {
  console.error(
    `Node ${LOWEST_NODE} is needed; this is Node ${process.versions.node}. It comes with the packages: ` +
      'npm install --no-save --ignore-scripts, in the folder of Hansetag.',
  );
  process.exitCode = 2;
} else {
  const child = spawn(node, [QUIET, MAIN, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends them to both; this process ends when the other one has.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(error.message);
    process.exitCode = 2;
  });
  child.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

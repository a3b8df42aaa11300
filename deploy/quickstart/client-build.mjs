/** The web client, built when its sources have changed. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { SetUpError } from './progress.mjs';
import { runProgram } from './program.mjs';

const COMPRESSIBLE = /\.(html|js|css|json|webmanifest|map|txt|svg|wasm)$/;
const SOURCES = ['client-angular', 'protocol', 'angular.json', 'package.json', 'package-lock.json'];

/** Whether dist holds what the sources make. */
export function isClientBuilt(root) {
  return existsSync(join(root, 'dist/client/browser')) && read(stampFile(root)) === sourcesHash(root);
}

/** Builds the client and compresses it. A build that breaks off leaves no stamp and is done again. */
export async function buildClient(root) {
  rmSync(stampFile(root), { force: true });
  const hash = sourcesHash(root);
  const node = join(root, 'node_modules/.bin/node');
  const ng = join(root, 'node_modules/@angular/cli/bin/ng.js');
  const env = { ...process.env, NG_CLI_ANALYTICS: 'false', CI: '1' };
  const { code, output } = await runProgram(node, [ng, 'build', 'client'], { cwd: root, env });
  if (code !== 0) throw new SetUpError(`${output}\nThe web client could not be built.`);
  await compressFiles(join(root, 'dist/client/browser'));
  writeFileSync(stampFile(root), hash);
}

/** Puts `.br` and `.gz` beside all files of a folder that get smaller by it, so that no server compresses them anew. */
export async function compressFiles(folder) {
  const names = readdirSync(folder, { recursive: true }).filter((name) => COMPRESSIBLE.test(name));
  await Promise.all(names.map((name) => compressFile(join(folder, name))));
}

async function compressFile(file) {
  const content = await readFile(file);
  const copies = [
    [`${file}.br`, await promisify(brotliCompress)(content)],
    [`${file}.gz`, await promisify(gzip)(content, { level: 9 })],
  ];
  for (const [name, compressed] of copies) if (compressed.length < content.length) await writeFile(name, compressed);
}

function stampFile(root) {
  return join(root, 'dist', 'client.stamp');
}

function sourcesHash(root) {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    for (const file of files(root, source)) {
      // Specs are no part of what is built.
      if (file.endsWith('.spec.ts')) continue;
      hash
        .update(`${file}\0`)
        .update(readFileSync(join(root, file)))
        .update('\0');
    }
  }
  return hash.digest('hex');
}

/** The paths of all files in a folder, sorted, or the path of the file itself. */
function files(root, path) {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  let entries;
  try {
    entries = readdirSync(full, { withFileTypes: true });
  } catch {
    return [path];
  }
  return entries
    .map((entry) => entry.name)
    .sort()
    .flatMap((name) => files(root, join(path, name)));
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

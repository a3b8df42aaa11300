/** `npm run bench -- <name> [arguments]`: runs spec/bench/<name>.ts by itself; without a name, says what there is. */
import { spawn } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';

const BENCHES = join(import.meta.dirname, '../../spec/bench');

const [name, ...args] = process.argv.slice(2);
const names = globSync('*.ts', { cwd: BENCHES })
  .map((file) => basename(file, '.ts'))
  .filter((candidate) => candidate !== 'support')
  .sort();
const file = join(BENCHES, `${name ?? ''}.ts`);
if (name === undefined || !names.includes(name) || !existsSync(file)) {
  console.error(`Which measurement? npm run bench -- <name>; there are: ${names.join(', ')}`);
  process.exit(2);
}

const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
process.on('disconnect', () => child.kill('SIGTERM'));
child.on('exit', (code) => process.exit(code ?? 1));

/** The password of a file: from the environment, from another file, or typed, but never an argument that others see. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { readText } from '../../base/whole-files.ts';
import { CommandError } from '../command.ts';

/** @throws CommandError when nobody can be asked */
export async function readPassword(options: {
  readonly file: string | undefined;
  readonly given: string | undefined;
  readonly prompt: string;
}): Promise<string> {
  const { file, given, prompt } = options;
  if (file !== undefined) {
    const text = await readText(file).catch(() => {
      throw new CommandError(`The password file ${file} cannot be read.`);
    });
    return text.replace(/\r?\n$/, '');
  }
  if (given !== undefined) return given;
  if (!process.stdin.isTTY) {
    throw new CommandError(
      'This file has a password. Give it by --password-file FILE or by the variable HANSETAG_CERT_PASSWORD.',
    );
  }
  return ask(prompt);
}

/** Asks at the terminal, without showing what is typed. */
function ask(prompt: string): Promise<string> {
  process.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  return new Promise((resolve, reject) => {
    lines.once('line', resolve);
    lines.once('SIGINT', () => reject(new CommandError('Nothing was changed.')));
    lines.once('close', () => reject(new CommandError('Nothing was changed.')));
  }).finally(() => {
    process.stderr.write('\n');
    lines.close();
  }) as Promise<string>;
}

/** What all commands of the command line have in common: their options, their help, their exit codes. */
import { parseArgs } from 'node:util';

/** Exit codes, as docs/trust.md has them. */
export const EXIT = { good: 0, failed: 1, usage: 2, soon: 3 } as const;

/** It cannot be done. The message says what failed and what to do. */
export class CommandError extends Error {
  override readonly name: string = 'CommandError';
}

/** It was asked for in a wrong way. */
export class UsageError extends CommandError {
  override readonly name = 'UsageError';
}

export interface Option {
  /** Name of its value for the help, such as `FILE`; absent for a switch. */
  readonly value?: string;
  readonly help: string;
}

/** What the command line says, after parsing. */
export interface Arguments {
  /** The value of an option. */
  get(name: string): string | undefined;
  isSet(name: string): boolean;
  readonly files: readonly string[];
}

export interface Command {
  /** One line. */
  readonly summary: string;
  /** What stands after the command's name, such as `FILE...`; absent when it takes nothing but options. */
  readonly files?: string;
  /** Further paragraphs of the help. */
  readonly details?: string;
  readonly options: Readonly<Record<string, Option>>;
  /** @returns the exit code */
  run(args: Arguments): Promise<number>;
}

/** @throws UsageError */
export function parseCommand(command: Command, args: readonly string[]): Arguments {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: command.files !== undefined });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'The options are malformed.');
  }
  const { values, positionals } = parsed;
  return {
    get: (name) => {
      const value = values[name];
      return typeof value === 'string' ? value : undefined;
    },
    isSet: (name) => values[name] === true,
    files: positionals,
  };
}

/** The help of one command. */
export function helpOf(name: string, { summary, files, details, options }: Command): string {
  const rows = Object.entries(options).map(([option, { value, help }]): [string, string] => [
    value === undefined ? `--${option}` : `--${option} ${value}`,
    help,
  ]);
  const usage = `Usage: npx hansetag ${name}${rows.length > 0 ? ' [options]' : ''}${files === undefined ? '' : ` ${files}`}`;
  const parts = [usage, `${summary}.`, details, rows.length > 0 ? `Options:\n${table(rows)}` : undefined];
  return parts.filter((part) => part !== undefined).join('\n\n');
}

/** Lines of two columns. */
export function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([first]) => first.length)) + 2;
  return rows.map(([first, second]) => `  ${first.padEnd(width)}${second}`).join('\n');
}
